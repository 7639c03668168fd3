"""Buy satellite imagery through UP42 once, watch it arrive, and land it verified in a data lake."""

__version__ = "0.1.0"
