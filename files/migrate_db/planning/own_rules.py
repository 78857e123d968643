"""Rows that break a CHECK of the app's own table: the server is asked, before anything is loaded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress

from migrate_db.codecs import copy_text
from migrate_db.finding import Finding
from migrate_db.planning import inspection
from migrate_db.planning.draft import Draft
from migrate_db.postgresql import own_checks
from migrate_db.postgresql.own_checks import Check, Rules
from migrate_db.postgresql.target import Target

#: Rows that the server is asked about at once, and characters of their values.
_ROWS, _SIZE = 2000, 1 << 18
#: Characters of the largest value that it is asked about.
_LARGEST = 1 << 20


def broken(
    connection: sqlite3.Connection, target: Target, draft: Draft, rules: Rules, relation: str
) -> Iterator[Finding]:
    """Name every row that breaks a rule, once for each.

    Args:
        relation: SQL of the rows that are to be carried, after FROM.
    """
    sources = {theirs: ours for ours, theirs in draft.names.items()}
    checks = [check for check in rules.checks if _is_known(check, draft, rules, sources)]
    given = [c for c in sources if any(c in check.columns for check in checks)]
    if not given:
        return
    columns = [draft.cell(sources[name]) for name in given]
    # what doesn't fit the type is a finding already
    fits = [f"NOT {c.codec.misfit_of(c.cell)}" for c in columns if c.misfits]
    fits += [f"ifnull(length({c.cell}), 0) <= {_LARGEST}" for c in columns]
    values = [c.codec.encode.replace("{c}", c.cell) for c in columns]
    rows = connection.execute(
        f"SELECT {inspection.identity(draft.table)}, {inspection.naming(draft.table)},"
        f" {', '.join(values)} FROM {relation} WHERE {' AND '.join(fits)}"
    )
    query = own_checks.question(draft.target, rules, checks, given)
    for named, texts in _batches(rows):
        for place, check, said in own_checks.answers(target, query, checks, texts):
            first = next(at for at, name in enumerate(given) if name in check.columns)
            value = texts[place][first]
            reason = f"contradicts {check.said}"
            if said:
                reason = f"the target's own table refuses it: {said}"
            yield inspection.finding(
                draft.table,
                columns[first].column,
                *named[place],
                "NULL" if value is None else value.encode(),
                "check there",
                reason,
            )


def _is_known(check: Check, draft: Draft, rules: Rules, sources: dict[str, str]) -> bool:
    """Whether all that it asks for is known, and rows that are there already keep it."""
    of_all = check.validated or not (draft.present and draft.present.rows)
    return of_all and all(c in sources or c in rules.otherwise for c in check.columns)


def _batches(
    rows: sqlite3.Cursor,
) -> Iterator[tuple[list[tuple[object, object]], list[list[str | None]]]]:
    """Some rows at a time: what names each, and its values as texts."""
    named: list[tuple[object, object]] = []
    texts: list[list[str | None]] = []
    size = 0
    for row, key, *fields in rows:
        with suppress(UnicodeDecodeError):  # that is said elsewhere
            texts.append([copy_text.value(field) for field in fields])
            named.append((row, key))
            size += sum(len(text) for text in texts[-1] if text)
        if len(named) >= _ROWS or size >= _SIZE:
            yield named, texts
            named, texts, size = [], [], 0
    if named:
        yield named, texts
