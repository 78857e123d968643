"""What a database holds, in numbers that any correct copy of it gives again.

A table's digest is taken by the server, at the speed of a scan: each value as text, hashed to
64 bits with the hash before it as the seed, the rows' hashes summed. A sum does not depend on
the order of the rows, so a restored table, whose rows lie elsewhere, gives the same. A row that
is missing, doubled or changed in one bit goes unseen once in 2^64 cases. It finds accidents, not
forgers; a changed file is found by its SHA-256.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from operator import add
from typing import Any

import psycopg
from psycopg import sql

# Tables and sequences of the user: not the system's, nobody's temporary ones, and not those that an
# extension brings, whose content pg_dump leaves to the extension.
_OURS = """
    n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND c.relpersistence <> 't'
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                    AND d.objid = c.oid AND d.deptype = 'e')
"""

# Names, not definitions: the server may write one expression in two ways, before a dump and after it.
_STRUCTURE = {
    "columns": f"""
        SELECT format('%s.%s.%s %s %s %s %s%s', n.nspname, c.relname, a.attname,
                      format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef,
                      a.attidentity, a.attgenerated)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped AND {_OURS}""",
    "indexes": f"""
        SELECT format('%s.%s %s %s %s %s', n.nspname, c.relname, i.indrelid::regclass, i.indisunique,
                      i.indisprimary, i.indnatts)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE i.indisvalid AND n.nspname !~ '^pg_' AND {_OURS}""",
    "constraints": f"""
        SELECT format('%s.%s.%s %s %s %s', n.nspname, c.relname, k.conname, k.contype, k.convalidated,
                      k.confrelid::regclass)
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND {_OURS}""",
    "triggers": f"""
        SELECT format('%s.%s.%s %s', n.nspname, c.relname, t.tgname, t.tgenabled)
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE NOT t.tgisinternal AND {_OURS}""",
    "relations, owners and grants": f"""
        SELECT format('%s.%s %s %s %s', n.nspname, c.relname, c.relkind, pg_get_userbyid(c.relowner),
                      (SELECT string_agg(format('%s %s %s', CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE
                                         pg_get_userbyid(x.grantee) END, x.privilege_type, x.is_grantable), ','
                                         ORDER BY pg_get_userbyid(x.grantee), x.privilege_type)
                       FROM aclexplode(coalesce(c.relacl, acldefault(
                         CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) x))
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND {_OURS}""",
    "functions": """
        SELECT format('%s.%s(%s) %s', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid),
                      md5(p.prosrc))
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
                          AND d.objid = p.oid AND d.deptype = 'e')""",
}


# Stands for a NULL: what nobody writes.
_NULL = "\x01NULL"


@dataclass(frozen=True)
class Table:
    """Rows of a table, and the sum of their hashes."""

    schema: str
    name: str
    rows: int
    digest: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Sequence:
    """The next number. A live app counts on while the dump is made, so it is a range."""

    schema: str
    name: str
    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass
class Contents:
    """All that is compared after a restore."""

    tables: list[Table] = field(default_factory=list)
    sequences: list[Sequence] = field(default_factory=list)
    large_objects: int = 0
    large_objects_digest: str = ""
    structure: dict[str, dict[str, str]] = field(default_factory=dict)
    not_compared: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the manifest."""
        return asdict(self)

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables)


def from_dict(found: dict[str, Any]) -> Contents:
    """What ``as_dict`` gave."""
    return Contents(
        tables=[Table(**table) for table in found["tables"]],
        sequences=[Sequence(**sequence) for sequence in found["sequences"]],
        large_objects=found["large_objects"],
        large_objects_digest=found["large_objects_digest"],
        structure=found["structure"],
        not_compared=found["not_compared"],
    )


def tables_of(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """Schema and name of every table whose rows a dump holds."""
    rows = connection.execute(
        f"""
        SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND {_OURS} ORDER BY 1, 2
        """.encode()
    )
    return [(schema, name) for schema, name in rows]


def lock(connection: psycopg.Connection, tables: list[tuple[str, str]]) -> None:
    """Keep every table from being changed in shape, or emptied, while it is dumped and read.

    A TRUNCATE is not bound to snapshots: without this the digest and the dump could see different rows.
    """
    if tables:
        names = sql.SQL(", ").join(sql.Identifier(*table) for table in tables)
        connection.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(names))


def positions(connection: psycopg.Connection) -> dict[tuple[str, str], int]:
    """The next number of each sequence, as of now: sequences know no snapshots."""
    found: dict[tuple[str, str], int] = {}
    for schema, name, step in connection.execute(
        f"""
        SELECT n.nspname::text, c.relname::text, s.seqincrement
        FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {_OURS} ORDER BY 1, 2
        """.encode()
    ).fetchall():
        row = connection.execute(
            sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(schema, name))
        ).fetchone()
        assert row is not None
        found[schema, name] = row[0] + (step if row[1] else 0)
    return found


def take(
    connection: psycopg.Connection,
    before: dict[tuple[str, str], int] | None = None,
    beside: psycopg.Connection | None = None,
) -> Contents:
    """Read everything once.

    Args:
        connection: in a transaction that sees one moment.
        before: the sequences' positions when the dump began; they are read again by ``ranges``.
        beside: reads the second half of each table meanwhile, of a database that nobody writes to.
    """
    contents = Contents()
    with ThreadPoolExecutor(1) as pool:
        for schema, name in tables_of(connection):
            table = sql.Identifier(schema, name)
            query = _query(connection, table)
            if beside is None:
                rows, total = _answer(connection, query)
            else:
                middle = _middle(connection, table)
                second = pool.submit(_answer, beside, query, f"WHERE ctid >= '{middle}'")
                first = _answer(connection, query, f"WHERE ctid < '{middle}'")
                rows, total = map(add, first, second.result())
            contents.tables.append(Table(schema, name, rows, str(total)))
    contents.sequences = ranges(before or positions(connection), positions(connection))
    _large_objects(connection, contents)
    for kind, statement in _STRUCTURE.items():
        row = connection.execute(
            f"SELECT count(*), coalesce(sum(hashtextextended(line, 0)), 0)::text FROM ({statement}) s(line)".encode()
        ).fetchone()
        assert row is not None
        contents.structure[kind] = {"count": str(row[0]), "digest": row[1]}
    contents.not_compared = _not_compared(connection)
    return contents


def _middle(connection: psycopg.Connection, table: sql.Identifier) -> str:
    """The place in a table where its second half begins: as a literal, so that the server scans that half only."""
    row = connection.execute(
        "SELECT format('(%%s,0)', pg_relation_size(%s::regclass) / 2 / current_setting('block_size')::int)",
        [table.as_string(connection)],
    ).fetchone()
    assert row is not None
    return str(row[0])


def _query(connection: psycopg.Connection, table: sql.Identifier) -> sql.Composed:
    """Number of rows, and the sum of their hashes."""
    columns = connection.execute(
        "SELECT a.attname::text, t.typnamespace = 'pg_catalog'::regnamespace"
        " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
        " WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1",
        [table.as_string(connection)],
    ).fetchall()
    row: sql.Composable = sql.SQL("0")
    for name, is_built_in in columns:
        # somebody's own type may have a cast to text that leaves something out; a row never does
        form = "{}::text" if is_built_in else "ROW({})::text"
        text = sql.SQL(form).format(sql.Identifier(name))
        row = sql.SQL('hashtextextended(coalesce({}, {}) COLLATE "C", {})').format(text, _NULL, row)
    return sql.SQL("SELECT count(*), coalesce(sum({}), 0) FROM ONLY {} ").format(row, table)


def _answer(
    connection: psycopg.Connection, query: sql.Composed, where: str = ""
) -> tuple[int, int]:
    row = connection.execute(query + sql.SQL(where)).fetchone()
    assert row is not None
    return row[0], int(row[1])


def ranges(before: dict[tuple[str, str], int], after: dict[tuple[str, str], int]) -> list[Sequence]:
    """Where each sequence may stand in the dump."""
    return [
        Sequence(*key, min(low, after.get(key, low)), max(low, after.get(key, low)))
        for key, low in before.items()
    ]


def _large_objects(connection: psycopg.Connection, contents: Contents) -> None:
    row = connection.execute(
        "SELECT count(*), coalesce(sum(hashtextextended(oid::text || ' ' || md5(lo_get(oid)), 0)), 0)::text"
        " FROM pg_largeobject_metadata"
    ).fetchone()
    assert row is not None
    contents.large_objects, contents.large_objects_digest = row


def _not_compared(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute(
        """
        SELECT format('%s %s.%s', CASE c.relkind WHEN 'm' THEN 'rows of materialized view'
                      WHEN 'f' THEN 'rows of foreign table' ELSE 'rows of an extension''s table' END,
                      n.nspname, c.relname)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND c.relpersistence <> 't'
          AND (c.relkind IN ('m', 'f') OR c.relkind = 'r' AND EXISTS (
               SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
               AND d.deptype = 'e'))
        ORDER BY 1
        """
    )
    return [row[0] for row in rows]


def differences(wanted: Contents, found: Contents, same_major: bool = True) -> list[str]:
    """What is not as it was, a line each; empty when all is.

    Args:
        same_major: whether both are of one major; another one may describe a structure otherwise.
    """
    lines: list[str] = []
    here = {str(table): table for table in found.tables}
    for table in wanted.tables:
        other = here.pop(str(table), None)
        if other is None:
            lines.append(f"table {table} is missing")
        elif other.rows != table.rows:
            lines.append(f"table {table} has {other.rows} rows, not {table.rows}")
        elif other.digest != table.digest:
            lines.append(f"table {table} has as many rows, but not the same ones")
    lines += [f"table {name} was not there" for name in here]
    numbers = {str(sequence): sequence.low for sequence in found.sequences}
    for sequence in wanted.sequences:
        next_ = numbers.pop(str(sequence), None)
        if next_ is None:
            lines.append(f"sequence {sequence} is missing")
        elif not sequence.low <= next_ <= sequence.high:
            lines.append(f"sequence {sequence} goes on with {next_}, not {sequence.low}")
    if wanted.large_objects != found.large_objects:
        lines.append(f"{found.large_objects} large objects, not {wanted.large_objects}")
    elif wanted.large_objects_digest != found.large_objects_digest:
        lines.append("large objects are not the same")
    for kind, sums in wanted.structure.items():
        other_sums = found.structure.get(kind, {})
        if sums["count"] != other_sums.get("count"):
            lines.append(f"{kind}: {other_sums.get('count', 0)}, not {sums['count']}")
        elif same_major and sums != other_sums:
            lines.append(f"{kind}: as many, but not the same")
    return lines
