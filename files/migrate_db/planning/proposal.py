"""A mapping that lets every row be carried: what was decided, and what resolves each finding."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from migrate_db import sql
from migrate_db.codecs import texts
from migrate_db.finding import BY_HAND, Findings
from migrate_db.planning import choice, epochs
from migrate_db.planning.draft import MOST_COLUMNS
from migrate_db.planning.mapping import COLUMN_KEYS, ColumnWish, Mapping
from migrate_db.planning.plan import Plan, TablePlan
from migrate_db.sqlite.schema import Schema
from migrate_db.sqlite.source import is_utf8
from migrate_db.visible import visible

#: What was resolved may show what stood behind it: '' made NULL, in a key.
_ROUNDS = 4

_MEANS = {
    "nul": "{n} values hold a NUL character, which is taken out",
    "utf8": "{n} texts are not UTF-8; they are read as Latin-1 (or: cp1252, replace)",
    "replace": "{n} texts are UTF-8 but for some bytes, which become U+FFFD (or: latin1, cp1252)",
    "mixed": "{n} values are of another kind than the rest; all are kept as bytes, or as texts",
    "misfit": "{n} values don't fit the type; they become NULL",
    "round": "{n} values have more digits than the type keeps; numbers are rounded, times cut",
    "empty": "{n} values are ''; they become NULL",
    "epoch": "{n} values are numbers, which seem to count moments",
    "null": "{n} values are NULL, though NOT NULL is declared, which is not carried",
    "zone": "{n} times are taken for UTC; if they are not: zone: Europe/Berlin, or whose clocks they are",
    "null key": "{n} rows have NULL in the primary key, which becomes a UNIQUE",
    "duplicate key": "{n} rows have a key that another one has; it becomes a plain index",
    "duplicate": "{n} rows contradict a UNIQUE, which becomes a plain index",
    "keep": "{n} rows point at nothing; they stay, and the key is not validated (or: null)",
    "orphan there": "{n} rows point at nothing; their reference becomes NULL",
    "too wide": "PostgreSQL takes no more columns; the last {n} are left out",
    "no column": "the target's table has no such column: {n} columns are not carried",
}
#: The same where the target has a table of the app's own.
_THERE = {
    "misfit": "{n} values don't fit the target's type; they become NULL, unless it gets one that keeps them",
    "null key": "{n} rows have NULL in the primary key, which the target's table doesn't have",
    "duplicate key": "{n} rows have a key that another one has; the target's table doesn't mind",
    "duplicate": "{n} rows contradict a UNIQUE, which the target's table doesn't have",
    "keep": "{n} rows point at nothing; they stay (or: null)",
}
#: The same where bytes carry all of it.
_AS_BYTES = {
    "nul": "{n} values hold a NUL character; all are kept as bytes",
    "utf8": "{n} texts are not UTF-8; all are kept as bytes",
}
_QUARANTINED = "{n} rows can't be in the target as it is; they go to a file"
#: No wish is about a column that the source hasn't.
_UNHELPED = (
    "no mapping helps: the target's column {column} is NOT NULL; give it a default there,"
    " ALTER TABLE … SET DEFAULT"
)
_HEAD = """\
# What `migrate_db run --mapping THIS_FILE` does with {source}.
# Change what you like; a line that is missing means: as the program decides.
#
# on_finding: refuse | quarantine (rows with findings go to a file)
# allow_empty: true     the source is the right one, although it has no rows at all
# a table:    rename, exclude: true, primary_key: unique | index, unique: index
# a column:   type, rename, exclude: true
#             nul: strip                            NUL characters are taken out of texts
#             invalid_utf8: latin1|cp1252|replace   how to read texts that aren't UTF-8
#             empty: null                           '' becomes NULL
#             nulls: keep                           NOT NULL is not carried, as NULLs are there
#             epoch: s|ms|us|julian|cocoa|webkit    numbers are moments, counted so
#             zone: utc                             times without a zone are UTC (or: Europe/Berlin)
#             round: type                           numbers and times become what the type keeps of them
#             mixed: bytes|text                     texts become bytes, or BLOBs become texts
#             misfit: null                          what doesn't fit the type becomes NULL
#             orphans: keep|null                    rows without a parent: stay, or point nowhere
"""


@dataclass
class Proposal:
    """A mapping, and why it says what it says."""

    mapping: Mapping
    plan: Plan
    #: comments by table, and by table and column
    why: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def say(self, table: str, column: str, text: str) -> None:
        """Add a comment, once."""
        said = self.why.setdefault((table, column), [])
        if text not in said:
            said.append(text)


def propose(
    connection: sqlite3.Connection,
    make: Callable[[Mapping, Findings], Plan],
    wishes: Mapping,
) -> Proposal:
    """Resolve every finding by a wish, without losing a row.

    Args:
        make: plans with a mapping.
    """
    findings = Findings()
    proposal = Proposal(wishes, make(wishes, findings))
    if not any(table.rows for table in proposal.plan.tables):
        proposal.mapping = replace(wishes, allow_empty="true")
    for table, column, kind in findings.counts:
        if kind == BY_HAND:
            proposal.say(table, "", _UNHELPED.format(column=visible(column)))
    for _ in range(_ROUNDS):
        if not (left := _resolvable(findings)):
            return proposal
        for (table, column, kind), count in left.items():
            _resolve(connection, proposal, table, column, kind, count)
        findings = Findings()
        proposal.plan = make(proposal.mapping, findings)
    if left := _resolvable(findings):
        for (table, column, _), count in left.items():
            proposal.say(table, column, _QUARANTINED.format(n=f"{count:,}"))
        proposal.mapping = replace(proposal.mapping, on_finding="quarantine")
    return proposal


def _resolvable(findings: Findings) -> dict[tuple[str, str, str], int]:
    """How many there are of each table, column and kind that a mapping can say something of."""
    return {place: count for place, count in findings.counts.items() if place[2] != BY_HAND}


def _resolve(
    connection: sqlite3.Connection,
    proposal: Proposal,
    table: str,
    column: str,
    kind: str,
    count: int,
) -> None:
    plan = proposal.plan.table(table)
    wish = proposal.mapping.table(table)
    own = wish.column(column)
    key, word = _answer(connection, proposal.plan.schema, plan, column, kind, own)
    meaning = _meaning(plan, kind, key, word)
    if key in ("primary_key", "unique") and getattr(wish, key) in ("", "unique"):
        wish = (
            replace(wish, primary_key=word) if key == "primary_key" else replace(wish, unique=word)
        )
        proposal.say(table, "", meaning.format(n=f"{count:,}"))
    elif kind == "too wide":
        free = [c.source for c in plan.columns if c.source not in plan.table.primary_key]
        beyond = free[MOST_COLUMNS - len(plan.columns) :]
        left = {name: replace(wish.column(name), exclude=word) for name in beyond}
        wish = replace(wish, columns={**wish.columns, **left})
        proposal.say(table, "", meaning.format(n=f"{len(left):,}"))
    elif own.mixed == "bytes" and key in ("nul", "invalid_utf8"):
        pass  # bytes hold anything
    elif key in COLUMN_KEYS and getattr(own, key) == word != getattr(plan.wish.column(column), key):
        proposal.say(table, column, meaning.format(n=f"{count:,}"))  # another kind has asked for it
    elif key == "mixed" and word == "bytes" and not own.mixed:
        columns = {
            **wish.columns,
            column: replace(own, mixed=word, nul="", invalid_utf8="", type=""),
        }
        wish = replace(wish, columns=columns)
        proposal.why[table, column] = [meaning.format(n=f"{count:,}")]
    elif key and key not in ("primary_key", "unique") and not getattr(own, key):
        columns = {**wish.columns, column: replace(own, **{key: word})}
        wish = replace(wish, columns=columns)
        proposal.say(table, column, meaning.format(n=f"{count:,}"))
    else:
        proposal.say(table, column, _QUARANTINED.format(n=f"{count:,}"))
        proposal.mapping = replace(proposal.mapping, on_finding="quarantine")
    proposal.mapping = replace(proposal.mapping, tables={**proposal.mapping.tables, table: wish})


def _meaning(plan: TablePlan, kind: str, key: str, word: str) -> str:
    """What a wish does, as a comment; with a place for how many."""
    means = {**_MEANS, **_THERE} if plan.exists else _MEANS
    if word == "replace" or (kind, word) == ("orphan", "keep"):
        return means[word]
    if key == "mixed":
        return _AS_BYTES.get(kind, means["mixed"])
    return means.get(key if key in ("epoch", "misfit") else kind, "")


def _answer(
    connection: sqlite3.Connection,
    schema: Schema,
    plan: TablePlan,
    column: str,
    kind: str,
    own: ColumnWish,
) -> tuple[str, str]:
    """Key and word of the wish that resolves a kind of finding; empty: only a quarantine does."""
    may_be_bytes = kind in ("nul", "utf8", "mixed")
    if may_be_bytes and _loses_nothing_as_bytes(connection, schema, plan, column):
        return "mixed", "bytes"
    key, word = _usual(connection, plan, column, kind, own)
    if key == "misfit" and plan.exists and not _keeps_most(connection, plan, column):
        return "", ""  # a column of NULLs is nobody's wish
    if key == "misfit" and plan.column(column).computed:
        return "", ""  # the target computes it all the same
    if key in ("misfit", "empty") and plan.exists and plan.column(column).required:
        return "", ""  # it would be the next finding, which says less than this one
    return key, word


def _keeps_most(connection: sqlite3.Connection, plan: TablePlan, column: str) -> bool:
    """Whether at least as many values of a column fit as don't."""
    found = plan.column(column)
    misfit = found.codec.misfit_of(found.cell)
    given, unfit = connection.execute(
        f"SELECT count({found.cell}), total({misfit}) FROM {plan.relation}"
    ).fetchone()
    return bool(given - unfit >= unfit)


def _usual(
    connection: sqlite3.Connection, plan: TablePlan, column: str, kind: str, own: ColumnWish
) -> tuple[str, str]:
    """The same by the kind alone, and what the values are."""
    if kind == "nul" and plan.exists and own.mixed == "text" and own.nul:
        return "misfit", "null"  # it is taken out of texts, not of BLOBs that become texts
    if kind == "utf8":
        return "invalid_utf8", "replace" if _is_cut(connection, plan, column) else "latin1"
    if kind in ("nul", "empty", "zone", "round", "no column", "too wide"):
        return {
            "nul": ("nul", "strip"),
            "empty": ("empty", "null"),
            "zone": ("zone", "utc"),
            "round": ("round", "type"),
            "no column": ("exclude", "true"),
            "too wide": ("exclude", "true"),
        }[kind]
    if kind == "mixed" and plan.exists and _is_bytea(plan, column):
        return "mixed", "bytes"
    if kind == "mixed" and plan.exists and own.mixed:
        return "misfit", "null"  # it is no text
    if kind == "mixed" and _are_texts(connection, plan, column, some=plan.exists):
        return "mixed", "text"
    if kind == "mixed" and not plan.exists:
        return "mixed", "bytes"
    if kind == "misfit" and plan.exists and _is_moment(plan, column) and not own.epoch:
        days = plan.column(column).codec.type == "date"
        unit_of = epochs.unit_of_days if days else epochs.unit_of
        unit = unit_of(connection, plan.table, column, plan.relation)
        if unit:
            return "epoch", unit
    if kind in ("misfit", "mixed"):
        return ("misfit", "null") if plan.exists or not own.type else ("", "")
    return {
        "orphan": ("orphans", "keep"),
        "orphan there": ("orphans", "null"),
        "null": ("nulls", "keep"),
        "null key": ("primary_key", "unique"),
        "duplicate key": ("primary_key", "index"),
        "duplicate": ("unique", "index"),
    }.get(kind, ("", ""))


def _is_moment(plan: TablePlan, column: str) -> bool:
    return plan.column(column).codec.type in ("timestamp", "timestamptz", "date")


def _is_bytea(plan: TablePlan, column: str) -> bool:
    return plan.column(column).codec.type == "bytea"


def _loses_nothing_as_bytes(
    connection: sqlite3.Connection, schema: Schema, plan: TablePlan, column: str
) -> bool:
    """Whether a column yet to be made is to hold bytes: declared so, or BLOBs stand beside what is no text.

    PHP, for one, binds what it reads from a file as a text.
    """
    wish, declared = plan.wish.column(column), plan.table.column(column)
    asked = wish.type or wish.mixed or wish.nul or wish.invalid_utf8
    if plan.exists or declared is None or asked:
        return False
    if not is_utf8(connection) or _is_in_a_key(schema, plan.table.name, column):
        return False  # half a pair has no bytes in UTF-8; a key needs one type on both sides
    if choice.for_declared(declared)[0] is texts.BYTEA:
        return True
    cell = sql.name(column)
    tests = (
        f"typeof({cell}) = 'blob'",
        f"typeof({cell}) = 'text' AND (instr({cell}, char(0))"
        f" OR typeof(m_of_blob(CAST({cell} AS BLOB))) = 'blob')",
    )
    return all(
        connection.execute(f"SELECT 1 FROM {plan.relation} WHERE {test} LIMIT 1").fetchone()
        for test in tests
    )


def _is_in_a_key(schema: Schema, table: str, column: str) -> bool:
    """Whether a foreign key has or points at a column."""
    return any(
        (column in key.columns and child.name == table)
        or (column in key.parent_columns and key.parent == table)
        for child in schema.tables
        for key in child.foreign_keys
    )


def _are_texts(connection: sqlite3.Connection, plan: TablePlan, column: str, some: bool) -> bool:
    """Whether all BLOBs of a column are texts that PostgreSQL takes, or some of them."""
    cell = sql.name(column)
    other = f"(typeof(m_of_blob({cell})) = 'blob' OR instr({cell}, x'00'))"
    row = connection.execute(
        f"SELECT 1 FROM {plan.relation} WHERE typeof({cell}) = 'blob'"
        f" AND {'NOT ' if some else ''}{other} LIMIT 1"
    ).fetchone()
    return (row is not None) == some


def _is_cut(connection: sqlite3.Connection, plan: TablePlan, column: str) -> bool:
    """Whether Latin-1 would spoil letters: a text that isn't UTF-8 has some that are, or all are cut emoji."""
    halves = True
    cell = sql.name(column)
    rows = connection.execute(f"SELECT {cell} FROM {plan.relation} WHERE typeof({cell}) = 'text'")
    for (text,) in rows:
        letters = text.decode("utf-8", "replace")
        if letters.encode() == text:
            continue
        if not letters.replace("\ufffd", "").isascii():
            return True
        halves = halves and _has_halves(text)
    return halves


def _has_halves(text: bytes) -> bool:
    """Whether a text is UTF-8 but for halves of pairs of UTF-16, of which nothing can be read."""
    try:
        text.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def render(proposal: Proposal, source: str) -> str:
    """The file, for people to edit."""
    lines = [_HEAD.format(source=visible(source))]
    if proposal.mapping.on_finding:
        lines.append(f"on_finding: {proposal.mapping.on_finding}")
    if proposal.mapping.allow_empty:
        lines.append("allow_empty: true")
    lines.append("tables:" if proposal.plan.schema.tables else "tables: {}")
    planned = {plan.table.name: plan for plan in proposal.plan.tables}
    for table in proposal.plan.schema.tables:
        wish = proposal.mapping.table(table.name)
        lines.append(f"  {_scalar(table.name)}:")
        lines += [f"    # {why}" for why in proposal.why.get((table.name, ""), [])]
        lines += [f"    {key}: {_scalar(word)}" for key, word in wish.said().items()]
        plan = planned.get(table.name)
        if plan is None:
            if not wish.exclude:
                lines[-1] += " {}"
            continue
        lines.append("    columns:")
        for column in table.columns:
            lines += _column(proposal, plan, column.name, column.declared)
    return "\n".join(lines) + "\n"


def _column(proposal: Proposal, plan: TablePlan, name: str, declared: str) -> list[str]:
    wish = plan.wish.column(name)
    carried = next((c for c in plan.columns if c.source == name), None)
    words = wish.said()
    if carried is not None and (chosen := choice.named(carried.codec.type)):
        words = {"type": chosen} | words
    shown = ", ".join(f"{key}: {_scalar(word)}" for key, word in words.items())
    said = visible(" ".join(declared.split()))
    why = [f"      # {text}" for text in proposal.why.get((plan.table.name, name), [])]
    place = f"{plan.table.name}.{name}: "
    why += [
        f"      # {visible(note.removeprefix(place))}"
        for note in proposal.plan.notes
        if note.startswith(place) and ("numbers that seem" in note or "`mixed: bytes`" in note)
    ]
    return [*why, f"      {_scalar(name)}: {{{shown}}}" + (f"  # declared {said}" if said else "")]


def _scalar(text: str) -> str:
    """A YAML scalar, in quotes where it needs them."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(\([0-9,]+\))?|[A-Za-z][a-z ]*[a-z]", text)
    if plain and "," not in text:
        return text
    escaped = (c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return '"' + "".join(escaped) + '"'
