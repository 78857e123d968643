"""Move a SQLite database to PostgreSQL and prove that every value arrived.

The way of one value is straight, and the modules are its stations; imports
point one way along it:

    source -> schema -> codec -> profile -> plan -> ddl/load -> difference -> proof

``commands`` composes the stations, ``cli`` reads the words of the user.
"""

__version__ = "1.0.0"
