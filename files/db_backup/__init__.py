"""Back up a PostgreSQL database, prove it, keep it, and bring it back."""

__version__ = "1.0.0"
