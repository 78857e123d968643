"""Rows on their way: loaded, compared, caught up with, proved."""
