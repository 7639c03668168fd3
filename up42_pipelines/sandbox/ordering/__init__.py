"""Orders, archive and tasking, from estimate to the end of their lives."""
