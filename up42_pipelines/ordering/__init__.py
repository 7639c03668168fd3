"""What to buy and buying it once: AOI rules, scene selection, order plans, keys, placement. Knows no Dagster."""
