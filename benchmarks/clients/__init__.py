"""The processes that are measured: each is one contender, started afresh for every sample."""
