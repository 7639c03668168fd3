"""Who buys, with what, and whether they may."""
