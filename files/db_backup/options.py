"""What the operator asked for: a file of settings, and the command line, which wins."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pg_tools import settings

from db_backup.errors import BackupError


@dataclass(frozen=True)
class Options:
    """All settings; sizes in MiB, times in seconds unless the name says hours or days."""

    dir: Path = Path("/opt/brainer/backups")
    url: str = ""  #: a superuser's way to the database
    container: str = ""  #: the server's container
    server_tools: str = ""  #: words before pg_dump; made of ``container`` when empty
    image: str = ""  #: for the drill; the container's own when empty

    keep_days: int = 7
    keep_weeks: int = 4
    keep_months: int = 6
    keep_least: int = 3  #: proved sets that are there whatever their age

    floor_mb: int = 512  #: free space that a run leaves alone
    lock_timeout: int = 60  #: wait for somebody who locks a table
    timeout: int = 14400  #: a whole run
    compress: str = "auto"

    server_disk: str = (
        ""  #: a directory on the server's disk, to see its free space before a restore
    )

    drill_memory_mb: int = 384
    drill_cpu_shares: int = 128  #: an app without a limit has 1024

    wal_dir: Path = (
        Path()
    )  #: changes and base backups, for recovery to a point in time; empty: none
    wal_slot: str = "brainer_wal"
    wal_keep_days: int = 7
    wal_base_days: int = 3  #: between two base backups
    wal_max_mb: int = 4096  #: of changes
    max_wal_lag_minutes: float = 15.0

    offsite_repository: str = ""  #: restic's; empty: no copy elsewhere
    offsite_password_file: str = ""
    offsite_env_file: str = ""  #: KEY=value lines for restic's backend
    offsite_keep_days: int = 14
    offsite_keep_weeks: int = 8
    offsite_keep_months: int = 12
    offsite_check_percent: int = 5
    offsite_timeout: int = 7200

    max_age_hours: float = 26.0
    max_drill_age_days: float = 8.0  #: 0: no drill is expected
    max_offsite_age_hours: float = 26.0

    ping_url: str = ""
    drill_ping_url: str = ""
    on_failure: tuple[str, ...] = field(default_factory=tuple)  #: a command; the log is its stdin
    metrics: str = ""  #: Prometheus textfile

    @property
    def floor(self) -> int:
        """Bytes of free space that stay free."""
        return self.floor_mb * 1024 * 1024


#: Settings that open something: a file, or the environment, but never the command line.
SECRET = ("ping_url", "drill_ping_url")


def from_file(path: Path) -> dict[str, Any]:
    """The settings in a JSON file.

    Raises:
        BackupError: the file can't be read, or names a setting that doesn't exist.
    """
    return settings.read(path, Options(), BackupError)
