"""Tables, keys, checks, defaults, views and sequences: made in the target, and asked for in its catalogue."""
