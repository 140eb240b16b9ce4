"""The error of everything that reads data."""


class DataError(ValueError):
    """Data that cannot be trained on or evaluated: what came, what was expected, what to do."""
