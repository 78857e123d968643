"""Rows that break a rule of the app's own table: the server is asked, before anything is loaded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from migrate_db.codecs import copy_text
from migrate_db.finding import Finding
from migrate_db.planning import inspection
from migrate_db.planning.draft import Draft
from migrate_db.planning.profile import ColumnProfile
from migrate_db.postgresql.row_answers import Alike, Answer, Given, answers
from migrate_db.postgresql.row_rules import Rules, Unique
from migrate_db.postgresql.target import Target

#: Rows that the server is asked about at once, and characters of their values.
_ROWS, _SIZE = 2000, 1 << 18
#: Characters of the largest value that it is asked about.
_LARGEST = 1 << 20


def broken(
    connection: sqlite3.Connection, target: Target, draft: Draft, rules: Rules, relation: str
) -> Iterator[Finding]:
    """Name every row that breaks a rule, once for each, and those that are alike to one before.

    Args:
        relation: SQL of the rows that are to be carried, after FROM.
    """
    sources = {theirs: ours for ours, theirs in draft.names.items()}
    asked = [r for r in rules.rules if r.validated or not (draft.present and draft.present.rows)]
    asked = [rule for rule in asked if _is_known(rule.columns, draft, rules, sources)]
    uniques = [u for u in rules.uniques if _is_known(u.columns, draft, rules, sources)]
    wanted = {c for r in asked for c in r.columns} | {c for u in uniques for c in u.columns}
    given = Given(draft.target, rules, tuple(name for name in sources if name in wanted))
    if not given.columns:
        return
    rows = _Rows(connection, draft, [draft.cell(sources[name]) for name in given.columns], relation)
    with target.connection.transaction(force_rollback=True):
        alike = Alike(target, given, uniques)
        for batch in rows.batches():
            refused: set[int] = set()  # none is alike to what doesn't come
            for answer in answers(target, given, asked, batch.texts):
                concerned = given.places(answer.rule.columns)
                if batch.fits(answer.place, concerned):
                    refused.add(answer.place)
                    yield rows.finding(
                        batch, answer.place, concerned[0], "check there", _reason(answer)
                    )
            concerned = given.places({column for unique in uniques for column in unique.columns})
            coming = [
                place
                for place in range(len(batch.texts))
                if place not in refused and batch.fits(place, concerned)
            ]
            reason = f"a second row with the same {_one_of(uniques)}, which the target's own table doesn't take"
            for number in alike.refused([batch.texts[place] for place in coming]):
                yield rows.finding(batch, coming[number], concerned[0], "duplicate there", reason)


def _reason(answer: Answer) -> str:
    if answer.error:
        return f"the target's own table refuses it, by {answer.rule.named}: {answer.error}"
    return f"contradicts {answer.rule.said}"


def _one_of(uniques: list[Unique]) -> str:
    return "; or ".join(f"{unique.said} ({unique.named})" for unique in uniques)


def _is_known(
    columns: tuple[str, ...], draft: Draft, rules: Rules, sources: dict[str, str]
) -> bool:
    """Whether all that a rule asks for is known already, and some of it by the source."""
    known = all(column in sources or column in rules.otherwise for column in columns)
    ours = [sources[column] for column in columns if column in sources]
    # whose reference is cut is found out later
    return known and bool(ours) and not any(draft.wish.column(c).orphans == "null" for c in ours)


#: Of a row its identity, its name, and 0 or 1 for each value that doesn't fit or does, if one doesn't.
_Named = tuple[object, object, bytes | None]


@dataclass(frozen=True)
class _Batch:
    """Some rows."""

    named: list[_Named]
    texts: list[list[str | None]]

    def fits(self, place: int, columns: Iterable[int]) -> bool:
        """Whether these values of a row fit."""
        fitting = self.named[place][2]
        return fitting is None or all(fitting[at] == ord("1") for at in columns)


@dataclass(frozen=True)
class _Rows:
    """The rows of a table, with those values that rules ask for."""

    connection: sqlite3.Connection
    draft: Draft
    columns: list[ColumnProfile]
    relation: str

    def batches(self) -> Iterator[_Batch]:
        """Some at a time."""
        # what doesn't fit the type is a finding already
        fit = [f"ifnull(length({c.cell}), 0) <= {_LARGEST}" for c in self.columns]
        fit = [
            f"({small} AND NOT {c.codec.misfit_of(c.cell)})" if c.misfits else f"({small})"
            for small, c in zip(fit, self.columns, strict=True)
        ]
        values = [
            f"CASE WHEN {fits} THEN {c.codec.encode.replace('{c}', c.cell)} END"
            for fits, c in zip(fit, self.columns, strict=True)
        ]
        table = self.draft.table
        rows = self.connection.execute(
            f"SELECT {inspection.identity(table)}, {inspection.naming(table)},"
            f" CASE WHEN {' AND '.join(fit)} THEN NULL ELSE {' || '.join(fit)} END,"
            f" {', '.join(values)} FROM {self.relation}"
        )
        batch, size = _Batch([], []), 0
        for row, key, fitting, *fields in rows:
            with suppress(UnicodeDecodeError):  # that is said elsewhere
                batch.texts.append([copy_text.value(field) for field in fields])
                batch.named.append((row, key, fitting))
                size += sum(len(text) for text in batch.texts[-1] if text)
            if len(batch.texts) >= _ROWS or size >= _SIZE:
                yield batch
                batch, size = _Batch([], []), 0
        if batch.texts:
            yield batch

    def finding(self, batch: _Batch, place: int, column: int, kind: str, reason: str) -> Finding:
        """One of a row and a column."""
        row, key, _ = batch.named[place]
        value = batch.texts[place][column]
        text = "NULL" if value is None else value.encode()
        name = self.columns[column].column
        return inspection.finding(self.draft.table, name, row, key, text, kind, reason)
