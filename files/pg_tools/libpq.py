"""A connection URL for PostgreSQL's own programs: by environment, never on a command line."""

from __future__ import annotations

from psycopg.conninfo import conninfo_to_dict

_NAMES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "dbname": "PGDATABASE",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "channel_binding": "PGCHANNELBINDING",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "hostaddr": "PGHOSTADDR",
}


def environment(url: str) -> dict[str, str]:
    """The words of a URL under the names that libpq reads."""
    words = conninfo_to_dict(url)
    return {_NAMES[key]: str(value) for key, value in words.items() if key in _NAMES and value}
