"""Statistics of a model over data."""
