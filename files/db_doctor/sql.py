"""The server, asked from inside its container: no password, no port and no Python library is needed for that."""

from __future__ import annotations

import json
from typing import Any

from db_doctor.ask import Row, Said, run
from db_doctor.options import Options

#: Reads only, waits for nobody, and ends by itself.
_QUIET = (
    "SET default_transaction_read_only = on; SET lock_timeout = '500ms'; SET statement_timeout = '8s';"
    " SET search_path = pg_catalog;\n"
)

SERVER = """
SELECT json_build_object('roles', (SELECT json_agg(rolname) FROM pg_roles WHERE rolcanlogin),
  'databases', (SELECT json_agg(json_build_object('name', datname, 'recorded', datcollversion,
      'actual', pg_database_collation_actual_version(oid)))
    FROM pg_database WHERE datallowconn))
"""

#: Tables of the app: neither the server's own nor those of a migration.
_OURS = """c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'migrate_db') AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT 1 FROM pg_depend e
    WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')"""

DATA = f"""
SELECT json_build_object(
  'tables', (SELECT coalesce(json_agg(format('%I.%I', n.nspname, c.relname) ORDER BY n.nspname, c.relname), '[]')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OURS}),
  'columns', (SELECT coalesce(json_agg(json_build_object('schema', n.nspname, 'table', c.relname, 'column', a.attname,
      'type', format_type(a.atttypid, NULL), 'name', format('%I.%I', n.nspname, c.relname),
      'quoted', quote_ident(a.attname), 'default', pg_get_expr(d.adbin, d.adrelid))
      ORDER BY n.nspname, c.relname, a.attnum), '[]')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum WHERE {_OURS}),
  'sequences', (SELECT coalesce(json_agg(json_build_object('sequence', format('%I.%I', sn.nspname, s.relname),
      'table', format('%I.%I', n.nspname, c.relname), 'column', quote_ident(a.attname), 'step', q.seqincrement)
      ORDER BY s.relname), '[]')
    FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
    JOIN pg_namespace sn ON sn.oid = s.relnamespace
    JOIN pg_sequence q ON q.seqrelid = s.oid AND q.seqincrement > 0
    JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
      AND {_OURS}),
  'migrated', to_regclass('migrate_db.state') IS NOT NULL)
"""

MIGRATION = (
    "SELECT json_build_object('held', held, 'opened', opened_at IS NOT NULL) FROM migrate_db.state"
)


def ask(options: Options, database: str, statement: str) -> tuple[Any, Said]:
    """One JSON answer as the superuser; None when there is none, and how it was said."""
    said = statements(options, database, _QUIET + statement)
    try:
        return json.loads(said.out), said
    except ValueError:
        return None, said


def statements(options: Options, database: str, text: str, patience: int = 0) -> Said:
    """Run statements by psql in the container, over its socket, up to the first that fails."""
    return run(
        "docker", "exec", "-i", "--user", "postgres", options.container,
        "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database,
        stdin=text, patience=patience or options.patience,
    )  # fmt: skip


def login(options: Options, host: str, user: str, database: str, password: str) -> str:
    """Log in with a password over TCP; the server's complaint, or nothing.

    By the container's own address on its network, where the app comes from, too: the loopback inside may trust
    everybody. The password goes in by stdin: no argument and no record of the engine's has it.
    """
    script = (
        "IFS= read -r PGPASSWORD; export PGPASSWORD PGCONNECT_TIMEOUT=5;"
        ' exec psql -XAtqw -h "$0" -p 5432 -U "$1" -d "$2" -c "SELECT 1"'
    )
    said = run(
        "docker", "exec", "-i", "--user", "postgres", options.container,
        "sh", "-c", script, host, user, database,
        stdin=f"{password}\n", patience=options.patience,
    )  # fmt: skip
    return "" if said.code == 0 else said.why.rpartition("FATAL: ")[2].strip()


def filled(tables: list[str]) -> str:
    """Which tables have a row."""
    each = [
        f"SELECT {_literal(name)} AS name WHERE EXISTS (SELECT 1 FROM {name})" for name in tables
    ]
    return f"SELECT coalesce(json_agg(name), '[]') FROM ({' UNION ALL '.join(each)}) t"


def positions(sequences: list[Row]) -> str:
    """Where each sequence stands, and the highest number that its column has."""
    each = [
        f"SELECT {_literal(one['sequence'])} AS sequence, {_literal(one['table'])} AS table,"
        f" {_literal(one['column'])} AS column, {int(one['step'])} AS step, s.last_value, s.is_called,"
        f" (SELECT max({one['column']}) FROM {one['table']}) AS highest FROM {one['sequence']} s"
        for one in sequences
    ]
    return f"SELECT coalesce(json_agg(row_to_json(t)), '[]') FROM ({' UNION ALL '.join(each)}) t"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
