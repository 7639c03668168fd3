"""Where scenes come from: made up, or a folder of rasters."""
