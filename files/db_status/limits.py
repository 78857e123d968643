"""Limits that are crossed: what was found, and the next command. A function of what was seen, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from db_status.options import Options
from db_status.seen import LEVELS, Crossed, Level, Row, Seen
from db_status.text import ago, line, moment, number, percent, size, span

_MB = 1024 * 1024
_DAY = 86400
#: Fewer reads than that say nothing about a cache.
_READS = 100_000


def judge(seen: Seen, options: Options, before: Row | None = None) -> list[Crossed]:
    """Everything that is crossed, the worst first.

    Args:
        before: a sample of about a day ago, to tell a new restart from an old one.
    """
    found = [one for rule in _RULES for one in rule(seen, options)]
    found += _containers(seen, options, before or {})
    return sorted(found, key=lambda one: LEVELS.index(one.level))


def _level(value: float, warning: float, critical: float) -> Level | None:
    """The level at which a value that should be low is."""
    return "critical" if value >= critical else "warning" if value >= warning else None


def _down(seen: Seen, options: Options) -> Iterator[Crossed]:
    if not seen.down:
        return
    full = "too many" in seen.down or "connection slots" in seen.down
    if full:
        yield Crossed(
            "connections", "critical", f"the server has none left: {seen.down}",
            "docker compose restart of the app frees its pool; then db_status report says who has them",
        )  # fmt: skip
        return
    name = options.container
    state = next((row for row in seen.containers if row["name"] == options.container), None)
    if state is None and options.container and seen.containers:
        next_ = f"there is no container {name}: ansible-playbook playbooks/site.yml"
    elif state is not None and state["state"] != "running":
        next_ = f"docker logs --tail 50 {name}; df -h; docker start {name}"
    elif name:
        next_ = f"docker logs --tail 50 {name}"
    else:
        next_ = "see that it runs, and listens there; its log says why not"
    yield Crossed("server", "critical", f"it does not answer: {seen.down}", next_)


def _connections(seen: Seen, options: Options) -> Iterator[Crossed]:
    if not seen.connections or not seen.server:
        return
    used, most = seen.connections["used"], seen.server["usable_connections"]
    share = percent(used, most)
    level = _level(share, options.connections_warning, options.connections_critical)
    if level:
        who = ", ".join(
            f"{row['role']} {row['application']} {row['count']}".replace("  ", " ")
            for row in seen.connections["who"][:3]
        )
        yield Crossed(
            "connections", level,
            f"{used} of {most} in use ({share:.0f} %), {seen.connections['idle']} of them idle: {who}",
            "a smaller pool in the app, or a higher max_connections (role tuning)",
        )  # fmt: skip


def _transactions(seen: Seen, options: Options) -> Iterator[Crossed]:
    for row in seen.transactions:
        if str(row["application"]).startswith("db_backup") or row["kind"] == "walsender":
            continue  # has its own time limit
        level = _level(
            row["seconds"] / 60, options.transaction_warning, options.transaction_critical
        )
        if level is None:
            continue
        if row["pid"] is None:
            next_ = f"COMMIT PREPARED or ROLLBACK PREPARED '{row['gid']}'"
        else:
            next_ = f"SELECT pg_terminate_backend({row['pid']})  -- if nobody is waiting for it"
        yield Crossed(
            "long transaction", level,
            f"{row['role']}{' in ' + row['application'] if row['application'] else ''}, open for"
            f" {span(row['seconds'])}, {row['state']}: {line(row['query'] or '', 80)}."
            " Meanwhile no vacuum removes what it might still see",
            next_,
        )  # fmt: skip


def _locks(seen: Seen, options: Options) -> Iterator[Crossed]:
    for row in seen.locks:
        level = _level(row["seconds"] or 0, options.lock_warning, options.lock_critical)
        if level and row["blocked_by"]:
            pid = row["blocked_by"][0]
            yield Crossed(
                "lock", level,
                f"{row['role']} (pid {row['pid']}) has waited {span(row['seconds'])} for {row['mode']} on"
                f" {row['what']}, behind pid {pid}: {line(row['blocking_query'] or '', 80)}",
                f"SELECT pg_cancel_backend({pid}), or pg_terminate_backend({pid}) if it is idle in transaction",
            )  # fmt: skip


def _wraparound(seen: Seen, options: Options) -> Iterator[Crossed]:
    for row in seen.databases:
        age = max(row["xid_age"] or 0, row["mxid_age"] or 0)
        level = _level(age / 1e6, options.xid_warning, options.xid_critical)
        if level:
            oldest = max(seen.tables, key=lambda table: table["xid_age"] or 0, default=None)
            ours = row["name"] == seen.server.get("database") and oldest is not None
            yield Crossed(
                "transaction ids", level,
                f"the oldest one of {row['name']} is {number(age)} transactions old; at 2,100 M the server"
                " stops taking writes",
                f"VACUUM (FREEZE) {_name(oldest)}" if ours and oldest is not None
                else f"VACUUM (FREEZE) in the database {row['name']}; first end long transactions and idle slots",
            )  # fmt: skip


def _slots(seen: Seen, options: Options) -> Iterator[Crossed]:
    for row in seen.slots:
        held = (row["held_bytes"] or 0) / _MB
        level = _level(held, options.slot_warning_mb, options.slot_critical_mb)
        if row["state"] in ("unreserved", "lost"):
            level = "critical"
        if level is None and not row["active"]:
            level = "hint"
        if level:
            yield Crossed(
                "replication slot", level,
                f"{row['name']} is {'active' if row['active'] else 'not active'}, state {row['state']}, and holds"
                f" {size(row['held_bytes'])} of WAL back: it may fill the disk",
                "start its receiver again, or, if nobody needs it:"
                f" SELECT pg_drop_replication_slot('{row['name']}')",
            )  # fmt: skip


def _disks(seen: Seen, options: Options) -> Iterator[Crossed]:
    for row in seen.disks:
        free = percent(row["free"], row["bytes"])
        level = _level(-free, -options.disk_warning, -options.disk_critical)
        if row["free"] < options.disk_floor_mb * _MB:
            level = "critical"
        inodes = percent(row["inodes_free"], row["inodes"]) if row["inodes"] else 100.0
        if level:
            yield Crossed(
                "disk", level,
                f"{size(row['free'])} of {size(row['bytes'])} free ({free:.0f} %) on {', '.join(row['paths'])};"
                " a full disk stops the database",
                "docker system df; db_backup prune --dry-run; journalctl --vacuum-size=200M",
            )  # fmt: skip
        elif inodes < options.disk_critical:
            yield Crossed(
                "disk", "critical", f"{inodes:.0f} % of the inodes free on {', '.join(row['paths'])}",
                "find a directory with too many files: du --inodes -xS / | sort -n | tail",
            )  # fmt: skip


def _memory(seen: Seen, options: Options) -> Iterator[Crossed]:
    if not seen.memory:
        return
    available = percent(seen.memory["available"], seen.memory["bytes"])
    level = _level(-available, -options.memory_warning, -options.memory_critical)
    if level:
        yield Crossed(
            "memory", level,
            f"{size(seen.memory['available'])} of {size(seen.memory['bytes'])} available ({available:.0f} %),"
            f" swap free {size(seen.memory['swap_free'])}",
            "ps aux --sort=-rss | head; fewer workers of the app, or a smaller postgres_memory",
        )  # fmt: skip


def _containers(seen: Seen, options: Options, before: Row) -> Iterator[Crossed]:
    known = before.get("containers")
    known = known if isinstance(known, dict) else {}
    for row in seen.containers:
        name = row["name"]
        ours = name == options.container
        worst: Level = "critical" if ours else "warning"
        meant = row["restart_policy"] in ("always", "unless-stopped", "on-failure")
        if row["state"] in ("restarting", "dead") or (row["state"] == "exited" and meant):
            yield Crossed(
                "container", worst, f"{name} is {row['state']}, exit code {row['exit_code']}",
                f"docker logs --tail 50 {name}; docker start {name}",
            )  # fmt: skip
        elif row["health"] == "unhealthy":
            yield Crossed(
                "container", worst, f"{name} is unhealthy",
                f"docker inspect --format '{{{{json .State.Health.Log}}}}' {name}; docker logs --tail 50 {name}",
            )  # fmt: skip
        old = known.get(name, {})
        # a container that was made anew counts from zero
        restarts = row["restarts"] - min(old.get("restarts", 0), row["restarts"])
        if restarts and (old or _young(row["started"], seen.at)):
            yield Crossed(
                "restarts", "warning",
                f"{name} restarted {restarts} times within a day, last {ago(row['started'], seen.at)}",
                f"docker logs --tail 100 {name}",
            )  # fmt: skip
        same = old.get("started") == row["started"]
        kills = row["oom_kills"] - (old.get("oom_kills", 0) if same else 0)
        if kills or (row["oom_killed"] and row["state"] != "running"):
            yield Crossed(
                "out of memory", worst,
                f"the kernel killed {max(kills, 1)} processes in {name}"
                f" {'within a day' if same else 'since it started ' + ago(row['started'], seen.at)}"
                f" (limit {size(row['memory_limit']) if row['memory_limit'] else 'none'})",
                "a smaller work_mem or pool, or more memory for it (postgres_memory)" if ours
                else f"give {name} more memory, or see what it does: docker logs --tail 100 {name}",
            )  # fmt: skip
        used = percent(row["memory"], row["memory_limit"])
        if used >= options.container_memory_warning:
            yield Crossed(
                "memory", "warning",
                f"{name} uses {size(row['memory'])} of its {size(row['memory_limit'])} ({used:.0f} %)",
                f"docker stats --no-stream {name}",
            )  # fmt: skip


def _young(started: str, at: str) -> bool:
    then, now = moment(started), moment(at)
    return then is not None and now is not None and (now - then).total_seconds() < _DAY


def _backups(seen: Seen, options: Options) -> Iterator[Crossed]:
    nexts = {
        "newest backup": "db_backup nightly; journalctl -t db_backup -n 50",
        "drill": "db_backup drill",
        "off-site": "db_backup offsite push",
        "free space": "db_backup prune --dry-run",
        "failed since": "journalctl -t db_backup -n 100",
    }
    for row in seen.backups:
        if not row["ok"]:
            # a drill that waits for Sunday is no reason to get up at night; no backup, or one of nothing, is
            grave = row["name"] in ("newest backup", "rows", "off-site")
            level: Level = "critical" if grave else "warning"
            next_ = nexts.get(row["name"], "db_backup status")
            yield Crossed(f"backup: {row['name']}", level, str(row["text"]), next_)


def _settings(seen: Seen, options: Options) -> Iterator[Crossed]:
    server = seen.server
    if not server:
        return
    if not server["fsync"] or not server["full_page_writes"]:
        yield Crossed(
            "settings", "critical",
            "fsync or full_page_writes is off: a power cut destroys the database",
            "set both to on; SELECT pg_reload_conf()",
        )  # fmt: skip
    if not server["autovacuum"] or not server["track_counts"]:
        yield Crossed(
            "settings", "warning", "autovacuum is off: dead rows stay, and transaction ids run out",
            "set autovacuum and track_counts to on; SELECT pg_reload_conf()",
        )  # fmt: skip
    if server["migration"] == "held":
        yield Crossed(
            "migration", "warning",
            "the app may only read this database: it is back on SQLite, or a migration holds it",
            "migrate_db status; back on SQLite: these backups stand still, so copy its file yourself until"
            " ansible-playbook playbooks/migrate.yml moves it again; else that completes it, or turns back",
        )  # fmt: skip
    if server["pending_restart"]:
        yield Crossed(
            "settings", "hint", f"changed, and waiting for a restart: {', '.join(server['pending_restart'])}",
            "ansible-playbook playbooks/site.yml",
        )  # fmt: skip


def _health(seen: Seen, options: Options) -> Iterator[Crossed]:
    for row in seen.databases:
        if row["checksum_failures"]:
            yield Crossed(
                "checksums", "critical",
                f"{row['checksum_failures']} pages of {row['name']} were not what was written: a bad disk, or memory",
                "db_backup verify all; dmesg | tail -50; move to another disk and restore",
            )  # fmt: skip
    row = seen.database
    reads = (row.get("blks_hit") or 0) + (row.get("blks_read") or 0)
    hit = percent(row.get("blks_hit"), reads)
    if reads >= _READS and hit < options.cache_hit_warning:
        yield Crossed(
            "cache", "warning",
            f"{hit:.1f} % of {number(reads)} pages were found in shared_buffers"
            f" ({size(seen.server['shared_buffers'])})",
            "see the statements that read most; a larger shared_buffers (role tuning)",
        )  # fmt: skip
    for table in seen.tables:
        dead, live = table["dead"], table["live"]
        share = percent(dead, live + dead)
        if dead >= options.dead_rows_least and share >= options.dead_rows_warning:
            vacuumed = ago(table["last_autovacuum"] or table["last_vacuum"], seen.at)
            yield Crossed(
                "dead rows", "warning",
                f"{_name(table)}: {number(dead)} dead of {number(live + dead)} ({share:.0f} %), last vacuum {vacuumed}"
                + ("; autovacuum is off for it" if table["autovacuum_off"] else ""),
                f"VACUUM (ANALYZE) {_name(table)}",
            )  # fmt: skip


def _indexes(seen: Seen, options: Options) -> Iterator[Crossed]:
    for row in seen.indexes:
        name = _name({"schema": row["schema"], "name": row["name"]})
        if not row["valid"]:
            yield Crossed(
                "index", "warning", f"{name} on {row['table']} is not valid: nobody uses it, each write pays for it",
                f"REINDEX INDEX CONCURRENTLY {name}",
            )  # fmt: skip
        elif (row["counted_seconds"] or 0) > 7 * _DAY:
            yield Crossed(
                "unused index", "hint",
                f"{name} ({size(row['bytes'])}) was not scanned in {span(row['counted_seconds'])}",
                f"if no foreign key and no replica needs it: DROP INDEX CONCURRENTLY {name}",
            )  # fmt: skip
    for table in seen.tables:
        if missing_index(table, options):
            average = table["seq_tup_read"] / table["seq_scan"]
            yield Crossed(
                "missing index", "hint",
                f"{_name(table)} ({number(table['live'])} rows) was read whole {number(table['seq_scan'])} times,"
                f" {number(average)} rows each; by index {number(table['idx_scan'])} times",
                "EXPLAIN the slowest statements on it; an index on what their WHERE names",
            )  # fmt: skip


def missing_index(table: Row, options: Options) -> bool:
    """Read whole, large and often: one of three alone says nothing."""
    scans = table["seq_scan"]
    return bool(
        table["live"] >= options.large_table_rows
        and scans >= 50
        and table["seq_tup_read"] / scans >= options.large_table_rows / 2
        and scans * 10 >= table["idx_scan"]
    )


def _writing(seen: Seen, options: Options) -> Iterator[Crossed]:
    points = seen.checkpoints
    if points and points["requested"] >= 20 and points["requested"] > points["timed"]:
        yield Crossed(
            "checkpoints", "warning",
            f"{number(points['requested'])} of {number(points['requested'] + points['timed'])} were forced by the"
            f" amount of WAL (max_wal_size {size(seen.server.get('max_wal_size'))})",
            "a larger max_wal_size, if the disk has room (role tuning)",
        )  # fmt: skip
    if seen.wal.get("archive_mode", "off") != "off" and seen.wal.get("failing"):
        yield Crossed(
            "WAL archive", "critical",
            f"the last attempt failed {ago(seen.wal['last_failed'], seen.at)}; WAL stays on the disk until it works",
            "see the server's log for archive_command",
        )  # fmt: skip
    most = seen.server.get("max_wal_size") or 0
    if (seen.wal.get("bytes") or 0) > 2 * most > 0:
        yield Crossed(
            "WAL", "warning", f"{size(seen.wal['bytes'])} are kept, twice max_wal_size ({size(most)}) or more",
            "see replication slots, WAL archive and wal_keep_size",
        )  # fmt: skip


def _statements(seen: Seen, options: Options) -> Iterator[Crossed]:
    if seen.statements_why and seen.server:
        loaded = "not loaded" not in seen.statements_why
        yield Crossed(
            "slowest statements", "hint", f"nothing is known of them: {seen.statements_why}",
            "db_status prepare (or site.yml --tags monitoring)" if loaded
            else "site.yml; or shared_preload_libraries = 'pg_stat_statements' and a restart",
        )  # fmt: skip


def _name(row: Row | None) -> str:
    if row is None:
        return "?"
    return f"{_quoted(row['schema'])}.{_quoted(row['name'])}"


def _quoted(name: str) -> str:
    plain = name.replace("_", "a").isalnum() and name.isascii() and name.islower()
    return name if plain and not name[0].isdigit() else '"' + name.replace('"', '""') + '"'


_RULES: Sequence[Callable[[Seen, Options], Iterator[Crossed]]] = (
    _down, _disks, _wraparound, _settings, _health, _connections, _locks, _transactions, _slots,
    _memory, _backups, _writing, _indexes, _statements,
)  # fmt: skip
