"""Looks through an app's sources for what PostgreSQL needs, or would refuse. Reads only, and runs nothing of it."""
