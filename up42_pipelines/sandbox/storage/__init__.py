"""What was delivered: as files, and as STAC."""
