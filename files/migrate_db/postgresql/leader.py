"""Which server answers. After a failover it is another one, and may lack what the former one had promised."""

from __future__ import annotations

from migrate_db.errors import Exit, MigrationError
from migrate_db.postgresql.target import Target

#: Cluster and timeline: a failover begins a new timeline, a restart doesn't. As WAL files are named, since what
#: pg_control says of it comes only with the next checkpoint.
_CLUSTER = (
    "SELECT 'cluster ' || system_identifier || ', timeline '"
    " || ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int"
    " FROM pg_control_system()"
)
#: Where a service keeps these to itself: a restart looks like a failover then, which costs a comparison.
_PLACE = (
    "SELECT coalesce(host(inet_server_addr()) || ' port ' || inet_server_port(), 'a socket')"
    " || ', started ' || pg_postmaster_start_time()"
)


def of(target: Target) -> str:
    """The server that answers, in words that are the same as long as it is the same."""
    import psycopg

    try:
        with target.connection.transaction():
            return str(target.value(_CLUSTER))
    except psycopg.OperationalError:
        raise  # it is gone
    except psycopg.DatabaseError:
        return str(target.value(_PLACE))


def changed(target: Target, proved_on: str, now: str, code: Exit) -> MigrationError:
    """Somebody else answers than the server on which everything was proved."""
    return MigrationError(
        "another server answers than the one on which everything was proved: a failover?",
        where=str(target),
        details=[f"proved on {proved_on}", f"now it is {now}"],
        next="run it again (migrate_db run --catch-up, or playbooks/migrate.yml): it compares"
        " everything with the server that answers now",
        code=code,
    )
