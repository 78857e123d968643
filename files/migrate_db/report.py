"""What a command found and did, for people and machines alike."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from pg_tools.files import publish

from migrate_db import __version__
from migrate_db.errors import Exit
from migrate_db.events import Phase
from migrate_db.finding import Findings
from migrate_db.postgresql.activity import Activity
from migrate_db.reverse.staging import TableReversal
from migrate_db.rows.catch_up import CaughtUp
from migrate_db.rows.proof import Proof
from migrate_db.sqlite.schema import Uncarried
from migrate_db.visible import lines_of_sql, visible

#: The verdicts, and what each means.
VERDICTS = {
    "ready": "Every value can be carried.",
    "migrated": "Every row was read back from PostgreSQL and is equal.",
    "already migrated": "The target holds every row already, each equal. Nothing was written.",
    "caught up": "The target was brought up to the source; every row was read back and is equal.",
    "rehearsed": "Everything was loaded, read back and equal, then taken back. Nothing was kept.",
    "equal": "Both sides are equal, row by row.",
    "different": "The two sides are not equal.",
    "refused": "Nothing was changed.",
    "unfinished": "It failed after a change; what to do is said above.",
    "opened": "The target is writable; the app lives on it.",
    "reversed": "The SQLite file holds what PostgreSQL holds; every row was compared and is equal.",
    "reversible": "SQLite can hold everything that PostgreSQL holds now. Nothing was changed.",
    "closed": "The target is read-only for the app, and no session of it is left that may write.",
    "unknown": "Nothing was migrated to this database by this program.",
    "loaded": "The target holds a proved copy; the app does not live on it.",
    "live": "The app lives on the target.",
}


@dataclass
class TableReport:
    """One table's journey; rows and bytes of the load, seconds of load and keys."""

    name: str
    target: str
    rows: int
    columns: dict[str, str]  #: PostgreSQL type per column
    loaded_rows: int = 0
    loaded_bytes: int = 0
    seconds: float = 0.0
    quarantined: int = 0  #: rows that stay behind


@dataclass
class Converted:
    """How many values of a column are changed, as the operator asked."""

    table: str
    column: str
    values: int


@dataclass
class Reversal:
    """What a way back to SQLite carries."""

    into: str = ""  #: the file that is made
    from_sha256: str = ""  #: of the kept file
    sha256: str = ""  #: of the file that is made
    tables: list[TableReversal] = field(default_factory=list)
    added_tables: list[str] = field(default_factory=list)  #: new on PostgreSQL
    added_columns: list[str] = field(default_factory=list)  #: the same, ``table.column``
    uncarried: list[dict[str, object]] = field(default_factory=list)  #: the first ones
    uncarried_count: int = 0


@dataclass
class Report:
    """Everything a command has to say."""

    command: str
    verdict: str = "refused"
    exit_code: int = Exit.REFUSED
    version: str = __version__
    source: dict[str, Any] = field(default_factory=dict)
    target: dict[str, Any] = field(default_factory=dict)
    phases: list[Phase] = field(default_factory=list)
    tables: list[TableReport] = field(default_factory=list)
    proof: Proof | None = None
    caught_up: list[CaughtUp] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    blocking: int = 0  #: findings that stand in the way
    converted: list[Converted] = field(default_factory=list)
    conversions: Findings = field(default_factory=Findings)  #: the values, up to a bound
    quarantine_file: str = ""
    uncarried: list[Uncarried] = field(default_factory=list)
    ddl: list[str] = field(default_factory=list)
    kept_dump: str = ""
    kept_snapshot: str = ""
    state: dict[str, Any] | None = None
    reversal: Reversal | None = None
    activity: Activity | None = None  #: what was written since the app lives on the target
    error: list[str] = field(default_factory=list)
    changed: bool = False

    @property
    def meaning(self) -> str:
        """The verdict in a sentence."""
        said = VERDICTS[self.verdict.partition(",")[0]]
        if self.quarantined_rows:
            place = f"are in {self.quarantine_file}" if self.quarantine_file else "stay behind"
            said += f" {self.quarantined_rows:,} rows with findings {place}."
        return said

    @property
    def quarantined_rows(self) -> int:
        """How many rows stay behind."""
        return sum(table.quarantined for table in self.tables)

    def json_pieces(self) -> Iterator[str]:
        """The report as JSON, as ``--json`` prints it; findings one by one, however many."""
        streams = ("findings", "conversions")
        plain: dict[str, Any] = {"meaning": self.meaning, "quarantined_rows": self.quarantined_rows}
        plain |= {
            f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.name not in streams
        }
        plain["finding_counts"] = [
            {"table": table, "column": column, "kind": kind, "count": count}
            for (table, column, kind), count in self.findings.counts.items()
        ]
        yield json.dumps(plain, indent=2, ensure_ascii=False)[:-2]
        for name in streams:
            yield f',\n  "{name}": ['
            for number, finding in enumerate(getattr(self, name)):
                comma = "," if number else ""
                yield f"{comma}\n    {json.dumps(finding.plain(), ensure_ascii=False)}"
            yield "\n  ]" if getattr(self, name) else "]"
        yield "\n}\n"

    def write_json(self, path: Path) -> None:
        """Write the report aside, then rename it into place, mode 0600."""
        publish(path, self.json_pieces())


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return [_plain(item) for item in value] if isinstance(value, list) else value


def lines(report: Report) -> list[str]:
    """The report as a person reads it on a terminal."""
    out: list[str] = []
    if report.tables:
        out += ["", *_table(report)]
    if report.reversal is not None and report.reversal.tables:
        out += ["", *_reversal(report.reversal)]
    if report.proof is not None:
        out += ["", *_proof(report.proof)]
    for title, entries in (
        ("Caught up with what was written meanwhile", [_caught_up(c) for c in report.caught_up]),
        ("Carried in another shape", report.notes),
        ("Changed, as you asked", conversions(report)),
        ("Not carried", [f"{u.kind} {u.name}: {u.reason}" for u in report.uncarried]),
        ("DDL", [line for text in report.ddl for line in lines_of_sql(text)]),
    ):
        if entries:
            out += ["", f"{title}:", *(f"  {entry}" for entry in entries)]
    if report.findings:
        out += ["", f"Findings ({len(report.findings):,}):"]
        for finding, more in report.findings.short():
            out.append(f"  {finding.line()}")
            if more:
                out.append(f"  … and {more:,} more like this; --findings FILE lists them all")
            if finding.resolve and more is not None:
                out.append(f"      -> {finding.resolve}")
        by_hand = report.findings.by_hand
        if report.blocking > by_hand and not report.error:
            which = "all but those that no mapping helps with" if by_hand else "them all"
            source = shlex.quote(str(report.source.get("path", "FILE")))
            out += [
                "",
                f"next:  have a mapping proposed that resolves {which}, look at it, use it:",
                f"       migrate_db plan --source {source} --write-mapping mapping.yml",
                f"       migrate_db run --source {source} --mapping mapping.yml",
            ]
        elif report.blocking and not report.error:
            out += ["", "next:  change the target as it is said above, which no mapping can do"]
    if report.quarantined_rows:
        kept = report.quarantine_file or "no file, because nothing was loaded"
        out += ["", f"Quarantined: {report.quarantined_rows:,} rows, in {kept}"]
        out += [f"  {t.name}: {t.quarantined:,} rows" for t in report.tables if t.quarantined]
    if report.activity is not None:
        a = report.activity
        out += ["", f"Rows written since {a.since}: {a.inserted:,} added, {a.updated:,} changed,"
                f" {a.deleted:,} removed (a row written twice counts twice)"]  # fmt: skip
    if report.kept_dump:
        out += ["", f"What was there before is kept in {report.kept_dump}"]
    if report.error:
        out += ["", *report.error]
    out += ["", f"{report.verdict.upper()}: {report.meaning}"]
    return [visible(line) for line in out]


def conversions(report: Report) -> list[str]:
    """Each column whose values are changed, with the first ones."""
    examples: dict[tuple[str, str], list[str]] = {}
    for change, _ in report.conversions.short():
        shown = examples.setdefault((change.table, change.column), [])
        shown.append(f"[{change.key}] {change.value or repr('')} {change.reason}")
    return [
        f"{c.table}.{c.column}: {c.values:,} values: "
        + "; ".join(examples.get((c.table, c.column), [])[:3])
        + (" …" if c.values > 3 else "")
        for c in report.converted
    ]


def _caught_up(done: CaughtUp) -> str:
    if done.reloaded:
        return f"{done.table}: loaded anew, too much had changed"
    return f"{done.table}: {done.added} added, {done.changed} changed, {done.removed} removed"


def _reversal(told: Reversal) -> list[str]:
    head = ("table", "added", "changed", "removed", "unchanged")
    rows = [
        (t.table, f"{t.added:,}", f"{t.changed:,}", f"{t.removed:,}", f"{t.unchanged:,}")
        for t in told.tables
    ]
    new = [*(f"table {name}" for name in told.added_tables), *told.added_columns]
    also = ["", "New on PostgreSQL, and made in the file: " + ", ".join(new)] if new else []
    return [*_aligned([head, *rows]), *also]


def _table(report: Report) -> list[str]:
    proofs = {proof.table: proof for proof in report.proof.tables} if report.proof else {}
    aside = bool(report.quarantined_rows)
    rows = [
        ("table", "rows", *(["quarantined"] if aside else []), "MB", "seconds", "rows/s", "proof")
    ]
    for table in report.tables:
        proof = proofs.get(table.name)
        said = ""
        if proof is not None:
            wrong = proof.missing + proof.extra + proof.different
            said = f"{proof.equal:,} equal" if proof.holds else f"{wrong:,} NOT EQUAL"
        loaded = table.loaded_rows > 0
        rows.append(
            (
                table.name,
                f"{table.rows:,}",
                *([f"{table.quarantined:,}"] if aside else []),
                f"{table.loaded_bytes / 1e6:,.1f}" if loaded else "",
                f"{table.seconds:,.1f}" if loaded else "",
                f"{table.loaded_rows / max(table.seconds, 1e-3):,.0f}" if loaded else "",
                said,
            )
        )
    return _aligned(rows)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """The first row is the head, the first column stands left."""
    rows = [tuple(map(visible, row)) for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    out = []
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        out.append("  ".join(cells).rstrip())
        if number == 0:
            out.append("  ".join("-" * width for width in widths))
    return out


def _proof(proof: Proof) -> list[str]:
    if not proof.holds:
        return ["Not equal:", *(f"  {line}" for line in proof.failures)]
    rows = sum(table.equal for table in proof.tables)
    values = sum(table.values for table in proof.tables)
    since = (
        f" and all {proof.structure:,} keys, constraints, indexes, defaults and types of the load are there"
        if proof.structure
        else ""
    )
    told = [
        f"Proof: {values:,} values in {rows:,} rows of {len(proof.tables)} tables were read back"
        " and compared, and count(*) agrees on both sides;",
        f"       {len(proof.sequences)} sequences number past the highest row;"
        f" constraints and indexes are valid{since}.",
    ]
    return told if proof.of_target else [told[0].rstrip(";") + "."]
