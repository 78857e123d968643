"""Look at a PostgreSQL server and its host, and say what needs somebody."""

__version__ = "1.0.0"
