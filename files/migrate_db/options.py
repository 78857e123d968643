"""What the user asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """What the user asked for; see ``cli``."""

    source: Path
    target: str = ""
    schema: str = "public"
    work_dir: Path = Path("/var/tmp")
    target_disk: Path | None = None
    allow_empty: bool = False
    rehearse: bool = False
    catch_up: bool = False
    hold: bool = False
    given_up: bool = False
    replace: bool = False
    keep_dump: Path = Path(".")
    server_tools: tuple[str, ...] = field(default=())
    keep_snapshot: Path | None = None
    mapping: Path | None = None
    write_mapping: Path | None = None
    on_finding: str = ""  #: ``refuse`` or ``quarantine``; empty: as the mapping says, or refuse
    quarantine_file: Path | None = None
    findings: Path | None = None
    rows: Path | None = None
    into: Path | None = None
    overwrite: bool = False
    expect_sha256: str = ""
    check_only: bool = False
    leave_out: tuple[str, ...] = ()
    report: Path | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
