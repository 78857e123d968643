"""The report as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from pg_tools.files import publish

from migrate_db.finding import Finding
from migrate_db.report import Report, conversions

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5c6675;--line:#dfe3e8;--back:#fff;
--good:#14733a;--bad:#b3261e;--bar:#3b6fd4}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa4b2;--line:#333b46;
--back:#14181e;--good:#5bd08b;--bad:#ff8a80;--bar:#7aa2f7}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);
max-width:60rem;margin:0 auto;padding:1.5rem 1rem 3rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
.good{color:var(--good)}.bad{color:var(--bad)}p{margin:.3rem 0}.soft{color:var(--soft)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{padding:.35rem .6rem;border-bottom:1px solid var(--line);text-align:right;
white-space:nowrap;font-variant-numeric:tabular-nums}th:first-child,td:first-child{text-align:left}
th{color:var(--soft);font-weight:600}li{overflow-wrap:anywhere}
code{font-size:.9em;overflow-wrap:anywhere}.time td{border:0;padding:.15rem .6rem}
.time td:last-child{width:60%;text-align:left}.bar{display:inline-block;height:.8rem;
background:var(--bar);border-radius:2px;min-width:2px}
"""


def write(report: Report, path: Path) -> None:
    """Write the page a person wants to read aside, then rename it into place, mode 0600."""
    publish(path, _render(report))


def _render(report: Report) -> str:
    """The whole page; needs nothing from anywhere else."""
    good = report.exit_code == 0
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>{escape(report.verdict)} – migrate_db</title><style>{_STYLE}</style>",
        f"<h1 class={'good' if good else 'bad'}>{escape(report.verdict.capitalize())}</h1>",
        f"<p>{escape(report.meaning)}</p>",
        f"<p class=soft>{escape(_from_to(report))}</p>",
    ]
    if report.error:
        parts.append("<h2>What happened</h2>" + _items(report.error))
    parts += [_tables(report), _reversal(report), _proof(report), _phases(report)]
    for title, entries in (
        ("Caught up with what was written meanwhile",
         [f"{c.table}: {c.added} added, {c.changed} changed, {c.removed} removed"
          + (" (loaded anew)" if c.reloaded else "") for c in report.caught_up]),
        ("Carried in another shape", report.notes),
        ("Not carried", [f"{u.kind} {u.name}: {u.reason}" for u in report.uncarried]),
        ("Changed, as you asked", conversions(report)),
        ("Findings", [_finding(f, more) for f, more in report.findings.short()]),
    ):  # fmt: skip
        if entries or (title == "Not carried" and report.reversal is None):
            parts.append(f"<h2>{title}</h2>" + (_items(entries) or "<p>Nothing was left out.</p>"))
    if report.quarantine_file:
        parts.append(f"<h2>Quarantine</h2><p><code>{escape(report.quarantine_file)}</code></p>")
    if report.kept_dump:
        parts.append(f"<h2>Kept</h2><p><code>{escape(report.kept_dump)}</code></p>")
    return "\n".join(part for part in parts if part) + "\n"


def _finding(finding: Finding, more: int | None) -> str:
    """A finding; the last one of a kind says how many others there are, and what resolves them."""
    text = finding.line()
    if more:
        text += f" … and {more:,} more like this"
    return f"{text} → {finding.resolve}" if finding.resolve and more is not None else text


def _from_to(report: Report) -> str:
    source, target = report.source, report.target
    text = f"{source.get('path', '?')} ({source.get('bytes', 0):,} bytes"
    text += f", sha256 {source.get('sha256', '')[:16]}…)"
    if target:
        text += (
            f" {'→' if report.reversal is None else 'and'} PostgreSQL {target['server_version']},"
            f" {target['user']}@{target['host']}:{target['port']}/{target['database']}"
        )
    if report.reversal is not None and report.reversal.into:
        text += f" → {report.reversal.into}"
        text += f" (sha256 {report.reversal.sha256[:16]}…)" if report.reversal.sha256 else ""
    return text


def _items(entries: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(entry)}</li>" for entry in entries)
    return f"<ul>{items}</ul>" if items else ""


def _rows(head: list[str], rows: Iterable[list[str]], kind: str = "") -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=scroll><table {kind}><tr>{top}</tr>{body}</table></div>"


def _tables(report: Report) -> str:
    if not report.tables:
        return ""
    proofs = {proof.table: proof for proof in report.proof.tables} if report.proof else {}
    rows = []
    for table in report.tables:
        proof = proofs.get(table.name)
        said = ""
        if proof is not None:
            kind = "good" if proof.holds else "bad"
            wrong = f"{proof.missing} missing, {proof.extra} extra, {proof.different} different"
            said = f"{proof.equal:,} rows equal" if proof.holds else wrong
            said = f"<span class={kind}>{said}</span>"
        rows.append(
            [
                escape(table.name),
                f"{table.rows:,}",
                f"{table.quarantined:,}" if table.quarantined else "",
                f"{table.loaded_bytes:,}",
                f"{table.seconds:.2f}",
                said,
            ]
        )
    return "<h2>Tables</h2>" + _rows(
        ["Table", "Rows", "Quarantined", "Bytes", "Seconds", "Proof"], rows
    )


def _reversal(report: Report) -> str:
    told = report.reversal
    if told is None or not told.tables:
        return ""
    rows = [
        [escape(t.table), *(f"{n:,}" for n in (t.added, t.changed, t.removed, t.unchanged))]
        for t in told.tables
    ]
    head = ["Table", "Added", "Changed", "Removed", "Unchanged"]
    new = [*(f"table {name}" for name in told.added_tables), *told.added_columns]
    text = "<h2>Since the cut-over</h2>" + _rows(head, rows)
    return text + (f"<h2>New on PostgreSQL, made in the file</h2>{_items(new)}" if new else "")


def _proof(report: Report) -> str:
    proof = report.proof
    if proof is None:
        return ""
    values = sum(table.values for table in proof.tables)
    also = "sequences; validity of constraints and indexes"
    if not proof.of_target:
        also = "every page and index of the file, and its foreign keys"
    text = (
        f"<h2>Proof</h2><p>{values:,} values compared. Compared: every column of every row, both"
        f" ways round; row counts; {also}. Not compared: what stands under “Not carried”.</p>"
    )
    if proof.failures:
        text += f"<div class=bad>{_items(proof.failures)}</div>"
    rows = [
        [escape(f"{s.table}.{s.column}"), f"{s.highest:,}", f"{s.next:,}"] for s in proof.sequences
    ]
    if rows:
        text += "<h2>Sequences</h2>" + _rows(["Column", "Highest in use", "Next"], rows)
    return text


def _phases(report: Report) -> str:
    total = sum(phase.seconds for phase in report.phases)
    if not total:
        return ""
    rows, before = [], 0.0
    for phase in report.phases:
        bar = (
            f"<span class=bar style='margin-left:{before / total:.1%};"
            f"width:{phase.seconds / total:.1%}' title='{escape(phase.note)}'></span>"
        )
        rows.append([escape(phase.name), f"{phase.seconds:.2f} s", bar])
        before += phase.seconds
    return "<h2>Phases</h2>" + _rows(["Phase", "Time", ""], rows, "class=time")
