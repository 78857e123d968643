"""What the target has around the tables that are to be filled, and what of it stands in the way."""

from __future__ import annotations

from migrate_db import sql
from migrate_db.errors import MigrationError
from migrate_db.postgresql.target import Target


def spelled(target: Target, wanted: set[str]) -> dict[str, str]:
    """Wanted tables that the target has with other capitals, as an app's models may write them."""
    rows = target.connection.execute(
        "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind IN ('r', 'p')",
        (target.schema,),
    ).fetchall()
    there = {row[0] for row in rows}
    alike: dict[str, list[str]] = {}
    for name in there - wanted:
        alike.setdefault(sql.folded(name), []).append(name)
    found = {name: alike.get(sql.folded(name), []) for name in wanted - there}
    return {name: others[0] for name, others in found.items() if len(others) == 1}


def demand_free(target: Target, names: set[str]) -> None:
    """Refuse names of tables that something else has: a view, a sequence, an index.

    Raises:
        MigrationError: it names them.
    """
    rows = target.connection.execute(
        "SELECT relname, pg_describe_object('pg_class'::regclass, c.oid, 0) FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND relname = ANY(%s) AND relkind NOT IN ('r', 'p') ORDER BY 1",
        (target.schema, list(names)),
    ).fetchall()
    if rows:
        raise MigrationError(
            "the target has something else where a table of the source is to be",
            where=str(target),
            details=[described for _, described in rows[:20]],
            next=f"drop it, or `rename` the table in --mapping ({rows[0][0]}: {{rename: …}}), or leave it out"
            " (--exclude); nothing was changed",
        )


def demand_no_children(target: Target, names: list[str]) -> None:
    """Refuse tables whose rows are partly another table's, by inheritance.

    Raises:
        MigrationError: it names them.
    """
    rows = target.connection.execute(
        "SELECT p.relname, c.oid::regclass::text FROM pg_inherits i"
        " JOIN pg_class p ON p.oid = i.inhparent JOIN pg_class c ON c.oid = i.inhrelid"
        " JOIN pg_namespace n ON n.oid = p.relnamespace"
        " WHERE n.nspname = %s AND p.relname = ANY(%s) AND p.relkind = 'r'",
        (target.schema, names),
    ).fetchall()
    if rows:
        raise MigrationError(
            "tables of the target have children by inheritance, whose rows are theirs, too",
            where=str(target),
            details=[f"{child} inherits from {parent}" for parent, child in rows[:20]],
            next="ALTER TABLE … NO INHERIT …, or leave the table out (--exclude); nothing was changed",
        )


def hidden(target: Target, names: list[str]) -> list[str]:
    """Tables that the role's own ``search_path`` doesn't find by their name alone, a line for each."""
    path = target.value("SELECT reset_val FROM pg_settings WHERE name = 'search_path'")
    ours = str(target.value("SHOW search_path"))
    set_path = "SELECT pg_catalog.set_config('search_path', %s, false)"
    target.connection.execute(set_path, (path,))
    rows = target.connection.execute(
        # in full: the path may have anything before what PostgreSQL itself has
        "SELECT t.name, n.nspname FROM pg_catalog.unnest(%s::pg_catalog.text[]) t(name)"
        " LEFT JOIN pg_catalog.pg_class f ON f.oid = pg_catalog.to_regclass(pg_catalog.quote_ident(t.name))"
        " LEFT JOIN pg_catalog.pg_namespace n ON n.oid = f.relnamespace"
        " WHERE f.oid IS DISTINCT FROM pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', %s::text, t.name))",
        (names, target.schema),
    ).fetchall()
    target.connection.execute(set_path, (ours,))
    nothing = [name for name, other in rows if other is None]
    lines = [
        f"table {name}: whoever names it without a schema finds the one in {other}, not the one"
        f" in {target.schema} (search_path is {path})"
        for name, other in rows
        if other is not None
    ]
    if nothing:
        lines.append(
            f"schema {target.schema} is not on the role's search_path ({path}): an app that names"
            f" tables without a schema doesn't find them; ALTER ROLE … SET search_path = {target.schema}"
        )
    return lines
