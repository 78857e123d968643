"""The target: the connection to it, what is there already, and what it knows about itself."""
