# MIT License, see LICENSE in the project root
"""From a machine to PostgreSQL's settings: pure arithmetic, no look at anything.

One budget decides. Of the RAM, the system, the app and a backup's drill get theirs first; the rest is
PostgreSQL's share, and the limit of its container:

    share                 = RAM - system - app - drill        1024 MB of 2048 MB
    shared_buffers        = share / 4                          256 MB
    effective_cache_size  = share                                1 GB
    maintenance_work_mem  = share / 16                          64 MB
    work_mem              = share / 64 for a pool of 15         16 MB, or less: what is left

What every connection of the app's pool and every parallel worker can take at once (a hash takes work_mem
times hash_mem_multiplier), with maintenance and autovacuum at work beside them, must fit into the share.
All sizes are MiB.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

OLDEST, NEWEST = 14, 18
LEAST_RAM = 512
LEAST_SHARE = 192
#: A machine that is sold as 2 GB shows some percent less: what the kernel and the firmware keep for themselves.
_MISSING = 0.10
#: What a connection takes besides: caches of the catalogue, plans, the process itself.
PRIVATE = 3
_UNITS = {"B": 2**-20, "kB": 2**-10, "MB": 1, "GB": 2**10, "TB": 2**20}
#: Unit of a bare number, in MiB.
_BARE = {
    "shared_buffers": 8 / 1024,
    "wal_buffers": 8 / 1024,
    "work_mem": 1 / 1024,
    "maintenance_work_mem": 1 / 1024,
    "autovacuum_work_mem": 1 / 1024,
}
_MB_SETTINGS = ("max_wal_size", "min_wal_size")
_NUMBERS = (
    "max_connections",
    "superuser_reserved_connections",
    "reserved_connections",
    "max_parallel_workers",
    "autovacuum_max_workers",
    "hash_mem_multiplier",
)


class Refused(Exception):
    """What is asked for does not fit or makes no sense. The text says what to change."""


@dataclass(frozen=True)
class Machine:
    """What PostgreSQL runs on."""

    ram: int
    cpus: int
    disk_size: int
    disk_free: int
    disk_kind: str = "ssd"  #: ssd or hdd


@dataclass(frozen=True)
class Wishes:
    """What the operator says."""

    major: int = 17
    workers: int = 1  #: processes of the app, each with a pool of its own
    pool: int = 15  #: connections of one pool at most
    app: int = 0  #: 0: by the number of workers
    drill: int = 384  #: at most
    limit: int = 0  #: of the container; 0: the whole share
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """Settings, limits of the container, and the sums that they follow from."""

    settings: dict[str, str | int | float | bool]
    limit: int
    shm: int
    app: int
    drill: int
    budget: list[str]


def nominal(measured: int) -> int:
    """The size a machine is sold as; a size that isn't just below one stays as it is.

    >>> [nominal(size) for size in (476, 967, 1963, 2048, 2100, 3911, 7941)]
    [512, 1024, 2048, 2048, 2100, 4096, 8192]
    """
    step = max(1, 2 ** (measured.bit_length() - 1) // 4)
    above = -(-measured // step) * step
    return above if measured >= above * (1 - _MISSING) and above - measured < step else measured


def plan(machine: Machine, wishes: Wishes) -> Plan:
    """
    Raises:
        Refused: it doesn't fit, or a wish makes no sense.
    """
    _sensible(machine, wishes)
    own = {name: _number(name, value) for name, value in wishes.settings.items()}
    wanted = {name: value for name, value in own.items() if value is not None}
    system = min(2048, machine.ram // 8)
    app = wishes.app or _app(machine.ram, wishes.workers)
    drill = min(wishes.drill, max(96, machine.ram * 3 // 16))
    room = machine.ram - system - app - drill
    limit = wishes.limit or room // 64 * 64
    outer = [
        ("PostgreSQL's container", limit),
        ("the app", app),
        ("a backup's drill", drill),
        ("the system", system),
    ]
    if limit > room or room < LEAST_SHARE:
        raise Refused(
            f"{_table(outer, machine.ram, 'RAM')}\n"
            "That is more than there is. Take a larger machine, or give the container (postgres_memory), the app"
            " (tuning_app_mb) or the drill (backup_drill_memory_mb) less."
        )
    if limit < LEAST_SHARE:
        raise Refused(
            f"A container of {limit} MB is too small for PostgreSQL beside an app: {LEAST_SHARE} MB at least"
            " (postgres_memory)."
        )
    sizes, inner, total = _sizes(machine, wishes, limit, wanted)
    if total > limit:
        raise Refused(
            f"{_table(inner, limit, 'limit')}\n"
            "That is more than the container may have: one query too many and the kernel kills the server. Take"
            f" {_culprits(wishes)}back, or give the container more (postgres_memory)."
        )
    settings = sizes | _disk(machine) | _habits(machine, wishes.major, sizes)
    return Plan(
        settings={k: v for k, v in sorted(settings.items()) if k not in wishes.settings},
        limit=limit,
        shm=max(64, limit // 4 // 64 * 64),
        app=app,
        drill=drill,
        budget=[
            *_table(outer, machine.ram, "RAM").splitlines(),
            *_table(inner, limit, "limit").splitlines(),
        ],
    )


def _sensible(machine: Machine, wishes: Wishes) -> None:
    if machine.ram < LEAST_RAM:
        raise Refused(
            f"{machine.ram} MB of RAM: {LEAST_RAM} MB is the least for PostgreSQL beside an app. If that is not what"
            " the machine has, say so in MB: tuning_ram_mb: 2048"
        )
    if wishes.major < OLDEST:
        raise Refused(f"PostgreSQL {wishes.major} is too old: {OLDEST} is the least.")
    if wishes.workers < 1 or wishes.pool < 1 or machine.cpus < 1:
        raise Refused("tuning_app_workers, tuning_app_pool and tuning_cpus are 1 at least.")
    for name, size in (("tuning_app_mb", wishes.app), ("backup_drill_memory_mb", wishes.drill)):
        if size < 0:
            raise Refused(f"{name} is {size}: MB, 0 at least.")


def _app(ram: int, workers: int) -> int:
    """384 MB a worker; on a small machine 3/16 of it, but 96 MB a worker at least."""
    return max(96 * workers, min(384 * workers, ram * 3 // 16))


def _sizes(
    machine: Machine, wishes: Wishes, share: int, own: dict[str, float]
) -> tuple[dict[str, Any], list[tuple[str, float]], float]:
    """Memory and connections; what is wished counts, the rest follows from what it leaves.

    Returns:
        settings, the lines of the budget, their sum.
    """
    pool = wishes.workers * wishes.pool
    connections = int(own.get("max_connections", max(50, -(-(pool + 20) // 10) * 10)))
    reserved = own.get("superuser_reserved_connections", 3) + own.get("reserved_connections", 0)
    if connections < pool + reserved:
        raise Refused(
            f"max_connections is {connections}, but the app may open {pool} ({wishes.workers} worker(s), {wishes.pool}"
            f" each), and {reserved:.0f} are reserved: {pool + reserved:.0f} at least."
        )
    parallel = int(own.get("max_parallel_workers", _parallel(machine)))
    buffers = own.get("shared_buffers", share // 4)
    wal = own.get("wal_buffers", -1)
    if wal < 0:
        wal = max(1, min(16, buffers // 32))
    maintenance = own.get("maintenance_work_mem", min(1024, share // 16))
    vacuums = own.get("autovacuum_max_workers", 3)
    vacuum = own.get("autovacuum_work_mem", -1)
    if vacuum < 0:
        # a quarter, unless it is said that autovacuum shall take what maintenance may
        vacuum = maintenance if "autovacuum_work_mem" in own else max(1, maintenance // 4)
    hash_factor = own.get("hash_mem_multiplier", 2.0)
    users = pool + parallel
    fixed = [
        ("shared_buffers", buffers),
        # measured with -C shared_memory_size from 32 MB to 14 GB
        ("other shared memory", 10 + wal + buffers / 32 + connections / 20),
        ("maintenance_work_mem", maintenance),
        (f"{vacuums:.0f} autovacuum workers, {_mb(vacuum)} each", vacuums * vacuum),
    ]
    left = share - sum(size for _, size in fixed) - users * PRIVATE
    work = own.get(
        "work_mem",
        max(1, min(128, share * 15 // (64 * pool), int(left // (users * max(1.0, hash_factor))))),
    )
    lines = [
        *fixed,
        (
            f"{pool} connections of the app, {_mb(work)} x {hash_factor:g} + {PRIVATE} MB each",
            pool * (work * max(1.0, hash_factor) + PRIVATE),
        ),
    ]
    if parallel:
        lines.append(
            (
                f"{parallel} parallel workers, the same each",
                parallel * (work * max(1.0, hash_factor) + PRIVATE),
            )
        )
    settings = {
        "max_connections": connections,
        "shared_buffers": _mb(buffers),
        "effective_cache_size": _mb(share),
        "maintenance_work_mem": _mb(maintenance),
        "autovacuum_work_mem": _mb(vacuum),
        "work_mem": _mb(work),
        "wal_buffers": _mb(wal),
        "max_parallel_workers": parallel,
        "max_parallel_workers_per_gather": min(2, parallel),
        "max_parallel_maintenance_workers": min(2, parallel),
        "max_worker_processes": max(8, parallel + 4),
    }
    return settings, lines, sum(size for _, size in lines)


def _parallel(machine: Machine) -> int:
    """One for each CPU and GB, none on a single CPU: each takes as much memory as a connection."""
    return 0 if machine.cpus == 1 else min(machine.cpus, machine.ram // 1024, 16)


def _disk(machine: Machine) -> dict[str, Any]:
    """The log of changes by the disk: a sixteenth of it, never more than a quarter of what is free."""
    most = 128
    while most * 2 <= min(8192, machine.disk_size // 16) and most * 2 <= machine.disk_free // 4:
        most *= 2
    fast = machine.disk_kind == "ssd"
    return {
        "max_wal_size": _mb(most),
        "min_wal_size": _mb(max(32, most // 4)),
        "random_page_cost": 1.1 if fast else 4.0,
        "effective_io_concurrency": 200 if fast else 2,
    }


def _habits(machine: Machine, major: int, sizes: dict[str, Any]) -> dict[str, Any]:
    """What doesn't depend on the size."""
    return {
        "checkpoint_completion_target": 0.9,
        "checkpoint_timeout": "15min",
        "wal_compression": "lz4" if major >= 15 else "on",
        # it compiles for longer than an app's queries take
        "jit": False,
        # dead rows go at a tenth of a table, not at a fifth
        "autovacuum_vacuum_scale_factor": 0.1,
        "autovacuum_analyze_scale_factor": 0.05,
        "shared_preload_libraries": "pg_stat_statements",
        "track_io_timing": True,
        # our own programs, pg_dump and pg_restore switch these off for themselves
        "statement_timeout": "5min",
        "idle_in_transaction_session_timeout": "10min",
        "log_min_duration_statement": "1s",
        "log_lock_waits": True,
        "log_checkpoints": True,
        "log_temp_files": sizes["work_mem"],
        "log_autovacuum_min_duration": "10s",
        "log_line_prefix": "%m [%p] %q%u@%d %a ",
    }


def _number(name: str, value: Any) -> float | None:
    """A setting that counts in the budget, in MiB or as a number; None for all others."""
    if name in _NUMBERS:
        try:
            return float(str(value).strip())
        except ValueError:
            raise Refused(f"{name} is {value!r}, which is no number.") from None
    if name not in _BARE:
        return None
    found = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB)?\s*", str(value))
    if not found:
        raise Refused(f"{name} is {value!r}; PostgreSQL reads sizes as 64MB or 1GB.")
    number, unit = float(found[1]), found[2]
    if number == -1 and not unit:
        return -1
    return number * (_UNITS[unit] if unit else _BARE[name])


def _mb(size: float) -> str:
    """
    >>> [_mb(size) for size in (64, 1024, 1536, 0.5)]
    ['64MB', '1GB', '1536MB', '512kB']
    """
    if size != int(size):
        return f"{round(size * 1024)}kB"
    return f"{int(size) // 1024}GB" if size and size % 1024 == 0 else f"{int(size)}MB"


def _culprits(wishes: Wishes) -> str:
    counted = sorted(name for name in wishes.settings if name in (*_BARE, *_NUMBERS))
    named = ", ".join(f"{name} = {wishes.settings[name]}" for name in counted)
    return f"{named} " if named else "some connections (tuning_app_workers, tuning_app_pool) "


def _table(lines: list[tuple[str, float]], most: int, what: str) -> str:
    total = sum(size for _, size in lines)
    sums = [*lines, (f"sum, of {most} MB {what}", total)]
    width = max(len(name) for name, _ in sums)
    return "\n".join(f"{name:<{width}}  {-(-size // 1):>6.0f} MB" for name, size in sums)


def at_most(machine: Machine, ram: int) -> Machine:
    """The machine with the RAM that the operator says it may use.

    Raises:
        Refused: it has less.
    """
    if ram == 0:
        return machine
    if machine.ram and ram > nominal(machine.ram):
        raise Refused(
            f"tuning_ram_mb is {ram}, but the machine (or the container that it is) has {machine.ram} MB."
        )
    return replace(machine, ram=ram)
