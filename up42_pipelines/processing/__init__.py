"""Processing jobs as purchases: bought once, within the budget. No Dagster."""
