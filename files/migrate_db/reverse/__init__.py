"""What PostgreSQL holds, on its way back into a SQLite file."""
