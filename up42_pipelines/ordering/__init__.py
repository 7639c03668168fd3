"""What to buy: AOI rules, scene selection, order plans, keys; orders as something to buy once. Knows no Dagster."""
