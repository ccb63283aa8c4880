"""What every route shares: problems, limits, headers, health, metrics."""
