"""What the operator asked for: a file of settings, and the command line, which wins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg_tools import settings

from db_status.errors import StatusError


@dataclass(frozen=True)
class Options:
    """All settings. ``*_warning`` is worth a look, ``*_critical`` can't wait."""

    url: str = ""  #: best of a role that is a member of pg_monitor and no more
    statements_database: str = "postgres"  #: where the extension is, if not in the URL's database
    container: str = ""  #: the server's; the other ones of the host are looked at anyway
    disks: tuple[str, ...] = ("/",)  #: directories; two on one disk count once
    backup_command: tuple[str, ...] = ("db_backup",)  #: empty: nobody is asked about backups
    limited: bool = False  #: the role is a given one; what it may not see is a note, no failure
    timeout: int = 20  #: seconds for all questions to the server together

    history: Path = Path("/opt/brainer-db/monitoring/history.db")
    history_rows: int = 4032  #: 14 days of a sample each 5 minutes
    metrics: str = ""  #: Prometheus textfile, written by each sample

    connections_warning: int = 80  #: percent of what the app may have
    connections_critical: int = 95
    disk_warning: int = 15  #: percent free
    disk_critical: int = 5
    disk_floor_mb: int = 512  #: and MiB free: less is critical, whatever the percentage
    memory_warning: int = 10  #: percent of the host's memory that is available
    memory_critical: int = 4
    container_memory_warning: int = 90  #: percent of the container's limit
    xid_warning: int = 400  #: million transactions
    xid_critical: int = 1000
    slot_warning_mb: int = 256  #: WAL that a replication slot holds back
    slot_critical_mb: int = 1024
    transaction_warning: int = 15  #: minutes
    transaction_critical: int = 240
    lock_warning: int = 30  #: seconds that somebody has waited
    lock_critical: int = 300
    cache_hit_warning: float = 90.0  #: percent
    dead_rows_warning: int = 30  #: percent of a table's rows
    dead_rows_least: int = 10000
    large_table_rows: int = 10000  #: below it, reading a table whole is what one wants
    unused_index_mb: int = 8


def from_file(path: Path) -> dict[str, Any]:
    """The settings in a JSON file.

    Raises:
        StatusError: the file can't be read, or names a setting that doesn't exist.
    """
    return settings.read(path, Options(), StatusError)
