"""Move a SQLite database to PostgreSQL and prove that every value arrived.

The way of one value is straight, and the packages are its stations. Each imports only what stands before it:

    postgresql, codecs, sqlite -> translation -> planning -> structure -> rows -> reverse

``journey`` is a run's way into the target and ``reversal`` the way back; ``commands`` begins them, ``cli`` reads the
words of the user.
"""

__version__ = "1.0.0"
