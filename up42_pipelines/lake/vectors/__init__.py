"""Features from strangers (GeoJSON, GeoPackage): read without trust, and written as GeoParquet."""
