"""Rows that break a rule of the app's own table: the server is asked, before anything is loaded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress

from migrate_db.codecs import copy_text
from migrate_db.finding import Finding
from migrate_db.planning import inspection
from migrate_db.planning.draft import Draft
from migrate_db.postgresql import row_rules
from migrate_db.postgresql.row_rules import Question, Rule, Rules
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
    asked = tuple(r for r in rules.rules if _is_known(r, draft, rules, sources))
    if not asked:
        return
    given = tuple(name for name in sources if any(name in rule.columns for rule in asked))
    columns = [draft.cell(sources[name]) for name in given]
    # what doesn't fit the type is a finding already
    fit = [f"ifnull(length({c.cell}), 0) <= {_LARGEST}" for c in columns]
    fit = [
        f"({small} AND NOT {c.codec.misfit_of(c.cell)})" if c.misfits else f"({small})"
        for small, c in zip(fit, columns, strict=True)
    ]
    values = [
        f"CASE WHEN {fits} THEN {c.codec.encode.replace('{c}', c.cell)} END"
        for fits, c in zip(fit, columns, strict=True)
    ]
    rows = connection.execute(
        f"SELECT {inspection.identity(draft.table)}, {inspection.naming(draft.table)},"
        f" CASE WHEN {' AND '.join(fit)} THEN NULL ELSE {' || '.join(fit)} END,"
        f" {', '.join(values)} FROM {relation}"
    )
    question = Question(draft.target, rules, asked, given)
    met = _Met(connection)
    for named, texts in _batches(rows):
        refused: set[int] = set()  # none is alike to what doesn't come
        for answer in row_rules.answers(target, question, texts):
            concerned = [at for at, name in enumerate(given) if name in answer.rule.columns]
            row, key, fitting = named[answer.place]
            if fitting and any(fitting[at] == ord("0") for at in concerned):
                continue
            kind, reason = "check there", answer.rule.said
            if answer.error:
                reason = (
                    f"the target's own table refuses it, by {answer.rule.named}: {answer.error}"
                )
            elif answer.rule.alike:
                kind = "duplicate there"
                number = asked.index(answer.rule)
                if answer.place in refused or not met.before(number, answer.alike):
                    continue
            refused.add(answer.place)
            value = texts[answer.place][concerned[0]]
            yield inspection.finding(
                draft.table,
                columns[concerned[0]].column,
                row,
                key,
                "NULL" if value is None else value.encode(),
                kind,
                reason,
            )
    met.forget()


class _Met:
    """What was met so far, in a file without a name."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute(
            "CREATE TEMP TABLE own_rules (rule, alike, PRIMARY KEY (rule, alike)) WITHOUT ROWID"
        )

    def before(self, rule: int, alike: str) -> bool:
        """Whether it was met before."""
        added = self._connection.execute(
            "INSERT OR IGNORE INTO temp.own_rules VALUES (?, ?)", (rule, alike)
        )
        return added.rowcount == 0

    def forget(self) -> None:
        """Leave nothing behind, nor a transaction."""
        self._connection.execute("DROP TABLE temp.own_rules")
        self._connection.commit()


def _is_known(rule: Rule, draft: Draft, rules: Rules, sources: dict[str, str]) -> bool:
    """Whether all that it asks for is known, some of it by the source, and rows that are there already keep it."""
    of_all = rule.validated or not (draft.present and draft.present.rows)
    known = all(c in sources or c in rules.otherwise for c in rule.columns)
    return of_all and known and any(c in sources for c in rule.columns)


def _batches(
    rows: sqlite3.Cursor,
) -> Iterator[tuple[list[tuple[object, object, bytes | None]], list[list[str | None]]]]:
    """Some rows at a time: what names each, and which of its values fit; these as texts."""
    named: list[tuple[object, object, bytes | None]] = []
    texts: list[list[str | None]] = []
    size = 0
    for row, key, fitting, *fields in rows:
        with suppress(UnicodeDecodeError):  # that is said elsewhere
            texts.append([copy_text.value(field) for field in fields])
            named.append((row, key, fitting))
            size += sum(len(text) for text in texts[-1] if text)
        if len(named) >= _ROWS or size >= _SIZE:
            yield named, texts
            named, texts, size = [], [], 0
    if named:
        yield named, texts
