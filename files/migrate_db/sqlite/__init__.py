"""The source: its snapshot, its schema, and its rows, whatever an app or a newer SQLite put into the file."""
