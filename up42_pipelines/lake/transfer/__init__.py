"""Bytes from a signed URL to where they belong, verified."""
