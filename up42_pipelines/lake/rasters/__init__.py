"""Rasters from strangers: opened without trust, described, and made Cloud-Optimized GeoTIFFs."""
