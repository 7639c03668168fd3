"""Looking after a lake: is everything as its items say, what is debris, what can be derived again."""
