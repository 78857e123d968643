"""The same load on the app with one database and with another: how many answers, how late, how many failed."""
