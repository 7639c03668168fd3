"""What is inside an unpacked delivery: DIMAP, SAFE, Landsat, Planet, PALSAR, job results, plain rasters."""
