"""Buying exactly once and within the budget: orders and processing jobs alike. Knows no Dagster and no API."""
