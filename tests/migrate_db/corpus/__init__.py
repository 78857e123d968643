"""Databases that nobody here wrote, and a judge that shares no code with the program."""
