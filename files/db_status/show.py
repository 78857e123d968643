"""The look as a text: limits that are crossed first, then the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from db_status.limits import missing_index
from db_status.options import Options
from db_status.seen import LEVELS, Crossed, Row, Seen, Unseen
from db_status.text import ago, duration, line, number, percent, size, span

_WORST = {"critical": "CRITICAL", "warning": "warning", "hint": "hint"}
_TABLES = 15


@dataclass(frozen=True)
class Section:
    """Numbers under one title: some lines, then a table; either may be empty.

    Args:
        left: columns that lean left, from the first one on.
        words: the last column is a text, too, and may be long.
    """

    title: str
    lines: Sequence[str] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    left: int = 1
    words: bool = False


def report(seen: Seen, options: Options) -> list[str]:
    """Every line."""
    lines = [head(seen), "", *crossed(seen)]
    for section in sections(seen, options):
        lines += ["", section.title.upper(), *(f"  {text}" for text in _body(section))]
    return lines


def _body(section: Section) -> Iterator[str]:
    """The lines, then the table with its columns under each other."""
    yield from section.lines
    if not section.rows:
        return
    found = [list(section.head), *(list(row) for row in section.rows)]
    last = len(section.head) - 1
    widths = [max(len(row[i]) for row in found) for i in range(last + 1)]
    for row in found:
        cells = [
            cell if section.words and i == last
            else cell.ljust(widths[i]) if i < section.left
            else cell.rjust(widths[i])
            for i, cell in enumerate(row)
        ]  # fmt: skip
        yield "  ".join(cells).rstrip()


def head(seen: Seen) -> str:
    """What it comes to, where and when."""
    return f"{verdict(seen).upper()}: {counts(seen)}   ({seen.host}, {seen.at})"


def counts(seen: Seen) -> str:
    """``1 critical, 2 warnings``."""
    numbers = {level: len(seen.of(level)) for level in LEVELS}
    found = [
        f"{count} {level}{'s' if count > 1 and level != 'critical' else ''}"
        for level, count in numbers.items() if count
    ]  # fmt: skip
    if seen.unseen:
        found.append(f"{len(seen.unseen)} not seen")
    return ", ".join(found) or "nothing to do"


def verdict(seen: Seen) -> str:
    """One word."""
    return "critical" if seen.of("critical") else "not all seen" if seen.unseen else "fine"


def crossed(seen: Seen) -> list[str]:
    """Limits, and what couldn't be looked at, each with the next command."""
    lines: list[str] = []
    for one in seen.crossed:
        lines += _pair(_WORST[one.level], one)
    for unseen in seen.unseen:
        lines += _pair("not seen", unseen)
    return lines + [f"note      {text}" for text in seen.notes]


def _pair(label: str, one: Crossed | Unseen) -> list[str]:
    what, said = (one.name, one.evidence) if isinstance(one, Crossed) else (one.what, f"{one.why}")
    return [f"{label:<9} {what}: {said}", f"{'':<9} next: {one.next}"]


def sections(seen: Seen, options: Options) -> list[Section]:
    """Everything that was seen, in the order in which one asks; what is empty is left out."""
    found = [
        _server(seen), _connections(seen), _databases(seen), tables(seen), statements(seen),
        _indexes(seen), _read_whole(seen, options), _locks(seen), _transactions(seen),
        _writing(seen), _replication(seen), _backups(seen), _host(seen), _containers(seen),
    ]  # fmt: skip
    return [section for section in found if section.lines or section.rows]


def name(row: Row) -> str:
    """A table; its schema only when it is another than public."""
    return str(row["name"] if row["schema"] == "public" else f"{row['schema']}.{row['name']}")


def _server(seen: Seen) -> Section:
    server = seen.server
    if not server:
        return Section("Server")
    standby = ", a standby" if server["recovery"] else ""
    return Section("Server", [
        f"PostgreSQL {server['version']}, up for {span(server['up_seconds'])}{standby};"
        f" shared_buffers {size(server['shared_buffers'])}, work_mem {size(server['work_mem'])},"
        f" checksums {'on' if server['checksums'] else 'off'}",
        f"asked as {server['user']}; all questions took {seen.cost_ms:.0f} ms",
    ])  # fmt: skip


def _connections(seen: Seen) -> Section:
    found, server = seen.connections, seen.server
    if not found or not server:
        return Section("Connections")
    most = server["usable_connections"]
    return Section(
        "Connections",
        [f"{found['used']} of {most} ({percent(found['used'], most):.0f} %): {found['active']} active,"
         f" {found['idle']} idle, {found['idle_in_transaction']} idle in transaction,"
         f" {found['waiting']} waiting for a lock"],
        ["role", "application", "connections"],
        [[row["role"] or "", row["application"], number(row["count"])] for row in found["who"]],
        left=2,
    )  # fmt: skip


def _databases(seen: Seen) -> Section:
    return Section(
        "Databases", (),
        ["database", "size", "cache hit", "commits", "rollbacks", "deadlocks", "temp files", "oldest xid"],
        [[row["name"], size(row["bytes"]), cache_hit(row), number(row["xact_commit"]),
          number(row["xact_rollback"]), number(row["deadlocks"]), size(row["temp_bytes"] or 0),
          number(row["xid_age"])]
         for row in seen.databases],
    )  # fmt: skip


def cache_hit(row: Row) -> str:
    """Percent of the pages that shared_buffers had."""
    reads = (row.get("blks_hit") or 0) + (row.get("blks_read") or 0)
    return f"{percent(row['blks_hit'], reads):.1f} %" if reads else ""


def vacuumed(row: Row, at: str) -> str:
    """When a table was last vacuumed, and by whom."""
    by_hand, auto = row["last_vacuum"] or "", row["last_autovacuum"] or ""
    if not by_hand and not auto:
        return "never"
    return ago(max(by_hand, auto), at) + (" (auto)" if auto > by_hand else "")


def tables(seen: Seen) -> Section:
    """The largest ones."""
    title = f"Tables (the {_TABLES} largest of {len(seen.tables)})"
    return Section(
        title if len(seen.tables) > _TABLES else "Tables", (),
        ["table", "size", "indexes", "rows", "dead", "vacuum", "analyze", "read whole", "by index"],
        [[name(row) + (" (locked)" if row["held"] else ""), size(row["bytes"]), size(row["index_bytes"]),
          number(row["live"]), number(row["dead"]), vacuumed(row, seen.at),
          ago(max(row["last_analyze"] or "", row["last_autoanalyze"] or ""), seen.at),
          number(row["seq_scan"]), number(row["idx_scan"])]
         for row in seen.tables[:_TABLES]],
    )  # fmt: skip


def statements(seen: Seen) -> Section:
    """Those that took the most time in all."""
    total = seen.statements_total
    since = [
        f"since {total['since'][:16]}, {number(total['calls'])} calls of {number(total['statements'])} kinds;"
        " to begin anew: SELECT pg_stat_statements_reset()"
    ] if total.get("since") else []  # fmt: skip
    return Section(
        "Slowest statements, by the time they took in all", since if seen.statements else [],
        ["in all", "share", "calls", "mean", "slowest", "rows", "statement"],
        [[duration(row["total_exec_time"]), f"{percent(row['total_exec_time'], total.get('ms')):.0f} %",
          number(row["calls"]), duration(row["mean_exec_time"]), duration(row["max_exec_time"]),
          number(row["rows"]), line(row["query"] or "(not ours to see)")]
         for row in seen.statements[:10]],
        left=0, words=True,
    )  # fmt: skip


def _indexes(seen: Seen) -> Section:
    return Section(
        "Indexes that nobody uses", (), ["index", "table", "size", ""],
        [[name(row), row["table"], size(row["bytes"]), "" if row["valid"] else "not valid"]
         for row in seen.indexes],
        left=2,
    )  # fmt: skip


def _read_whole(seen: Seen, options: Options) -> Section:
    return Section(
        f"Read whole, though of {options.large_table_rows:,} rows or more", (),
        ["table", "rows", "times", "rows each time", "by index"],
        [[name(row), number(row["live"]), number(row["seq_scan"]),
          number(row["seq_tup_read"] / row["seq_scan"]), number(row["idx_scan"])]
         for row in seen.tables if missing_index(row, options)],
    )  # fmt: skip


def _locks(seen: Seen) -> Section:
    return Section("Waiting for a lock", [
        f"pid {row['pid']} ({row['role']}) waits {span(row['seconds'])} for {row['mode']} on {row['what']},"
        f" behind pid {', '.join(map(str, row['blocked_by'] or [])) or '?'}: {line(row['query'] or '', 70)}"
        for row in seen.locks
    ])  # fmt: skip


def _transactions(seen: Seen) -> Section:
    return Section(
        "Oldest transactions", (), ["open for", "role", "application", "state", "statement"],
        [[span(row["seconds"]), row["role"] or "", row["application"], row["state"] or "",
          line(row["query"] or "", 70)]
         for row in seen.transactions[:5] if row["seconds"] >= 1],
        words=True,
    )  # fmt: skip


def _writing(seen: Seen) -> Section:
    points, wal, lines = seen.checkpoints, seen.wal, []
    if points:
        lines.append(
            f"{number(points['timed'])} checkpoints by time, {number(points['requested'])} by the amount of WAL,"
            f" {duration(points['write_ms'])} of writing, since {str(points['since'])[:16]}"
        )
    if wal:
        seconds = wal.get("seconds") or 0
        rate = f", {size(wal['written'] / seconds * 86400)} a day" if seconds > 3600 else ""
        last = (
            f", last one {ago(wal['last_archived'], seen.at)}" if wal.get("last_archived") else ""
        )
        lines.append(
            f"WAL: {size(wal.get('bytes'))} in {number(wal.get('files'))} files;"
            f" {size(wal.get('written'))} written{rate}; archive {wal.get('archive_mode', '?')}{last}"
        )
    return Section("Checkpoints and WAL", lines)


def _replication(seen: Seen) -> Section:
    return Section("Replication", [
        *(f"slot {row['name']} ({row['kind']}): {'active' if row['active'] else 'not active'},"
          f" {size(row['held_bytes'])} of WAL held back, {row['state']}" for row in seen.slots),
        *(f"replica {row['application']} {row['address'] or ''}: {row['state']},"
          f" {size(row['behind_bytes'])} behind" for row in seen.replicas),
    ])  # fmt: skip


def _backups(seen: Seen) -> Section:
    return Section(
        "Backups", (), ["", "what", "state"],
        [["ok" if row["ok"] else "BAD", row["name"], str(row["text"])] for row in seen.backups],
        left=2, words=True,
    )  # fmt: skip


def _host(seen: Seen) -> Section:
    lines = [
        f"{size(row['free'])} of {size(row['bytes'])} free ({percent(row['free'], row['bytes']):.0f} %)"
        f" on {', '.join(row['paths'])}"
        for row in seen.disks
    ]
    if seen.memory:
        swap = seen.memory["swap"]
        lines.append(
            f"{size(seen.memory['available'])} of {size(seen.memory['bytes'])} memory available,"
            f" swap {size(swap - seen.memory['swap_free']) + ' of ' + size(swap) + ' used' if swap else 'none'},"
            f" load {seen.memory['load']:.2f} on {seen.memory['cpus']} CPUs"
        )
    return Section("Disks and memory", lines)


def _containers(seen: Seen) -> Section:
    return Section(
        "Containers", (), ["container", "state", "since", "restarts", "OOM kills", "memory", "limit"],
        [[row["name"], row["health"] or row["state"],
          ago(row["started"] if row["state"] == "running" else row["finished"], seen.at),
          number(row["restarts"]), number(row["oom_kills"]), size(row["memory"]),
          size(row["memory_limit"]) if row["memory_limit"] else "none"]
         for row in seen.containers],
    )  # fmt: skip
