"""What SQLite stores and what PostgreSQL holds, as SQL of either: one codec for each kind of value."""
