"""Say why it doesn't work: from the outside in, each cause with its evidence and what mends it."""

__version__ = "1.0.0"
