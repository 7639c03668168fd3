"""What every part stands on: database, time, chance, geometry, pages, error bodies."""
