"""The lake's STAC: items, the static catalogue that links them, and what they must conform to."""
