"""SQLite's expressions and queries in PostgreSQL's words, where they mean the same with certainty."""
