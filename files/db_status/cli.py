"""The command line."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import traceback
from dataclasses import fields
from pathlib import Path
from typing import Any

from pg_tools.report import Report

from db_status import __version__, options, session
from db_status.commands import COMMANDS
from db_status.errors import Exit, StatusError
from db_status.options import Options
from db_status.text import moment

#: Where role `monitoring` leaves the settings: in an emergency nobody should have to know a path.
_CONFIG = Path(os.environ.get("DB_STATUS_CONFIG", "/opt/brainer-db/monitoring/config.json"))

_EPILOG = """
examples:
  db_status report                        Everything, crossed limits first, each with the next command.
  db_status page --output status.html     The same as one page, with the history as plots.
  db_status history --since 2026-11-16    Troubles that the samples found, each with its times.
  db_status sample                        One light sample into the history: what a schedule runs.
  db_status prepare --database SUPERUSER_URL --role monitoring --passfile FILE
      The role that looks (pg_monitor, nothing else) and the extension that counts statements.

Settings come from --config, and options win over it. The password is best kept in a passfile.

exit codes: 0 fine, 1 something could not be looked at (or the command failed), 2 usage,
            3 a critical limit is crossed, 4 another sample is being taken
"""

#: What an option says, of the settings that are one.
_OPTIONS = {
    "statements_database": "database with pg_stat_statements, if the URL's own has it not",
    "container": "the server's container",
    "timeout": "seconds for all questions to the server",
    "history": "file of the samples",
    "history_rows": "samples that are kept",
    "metrics": "sample: file for Prometheus' textfile collector",
    "connections_warning": "percent of the connections in use",
    "connections_critical": "the same",
    "disk_warning": "percent of a disk that is free",
    "disk_critical": "the same",
    "disk_floor_mb": "MiB of a disk that are free: less is critical",
    "memory_warning": "percent of the memory that is available",
    "memory_critical": "the same",
    "container_memory_warning": "percent of a container's limit in use",
    "xid_warning": "age of the oldest transaction id, in millions",
    "xid_critical": "the same",
    "slot_warning_mb": "MiB of WAL that a replication slot holds back",
    "slot_critical_mb": "the same",
    "transaction_warning": "minutes that a transaction is open",
    "transaction_critical": "the same",
    "lock_warning": "seconds that somebody waits for a lock",
    "lock_critical": "the same",
    "cache_hit_warning": "percent of the pages found in shared_buffers",
    "dead_rows_warning": "percent of a table's rows that are dead",
    "dead_rows_least": "dead rows below which that is nothing",
    "large_table_rows": "rows from which reading a table whole counts",
    "unused_index_mb": "MiB from which an unused index counts",
}
_LISTS = {"disks": "directories whose disks are looked at", "backup_command": "db_backup"}


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        the exit code, see ``errors.Exit``.
    """
    os.umask(0o077)
    words = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    report = Report(words.command)
    try:
        chosen = _options(words)
        COMMANDS[words.command](chosen, words, report)
    except KeyboardInterrupt:
        _failed(report, StatusError("interrupted", next="run it again"))
    except StatusError as error:
        _failed(report, error)
    except OSError as error:
        what = f"a file can't be used: {error.strerror or error}"
        _failed(
            report,
            StatusError(what, where=str(error.filename or ""), next="see that there is room: df -h"),
        )  # fmt: skip
    except Exception as error:
        traceback.print_exc()
        _failed(report, StatusError(f"an unexpected error: {error!r}", next="report it"))
    quiet = words.command == "sample" and words.quiet and report.verdict == "sampled"
    if words.json:
        print(json.dumps(report.as_dict(), ensure_ascii=False, default=str))
    elif not quiet and (report.lines or report.error):
        to_page = words.command == "page" and str(words.output) == "-"
        print("\n".join([*report.lines, *report.error]), file=sys.stderr if to_page else sys.stdout)
    return int(report.exit_code)


def _failed(report: Report, error: StatusError) -> None:
    report.exit_code = error.code
    report.error = error.lines()
    report.verdict = "locked" if error.code == Exit.LOCKED else "failed"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="db_status",
        description="Look at a PostgreSQL server and its host, and say what needs somebody.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"db_status {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    made = {}
    defaults = Options()
    for name, text in (
        ("report", "everything, crossed limits first"),
        ("sample", "one light sample into the history"),
        ("page", "one self-contained HTML page"),
        ("history", "what was wrong lately, and from when to when"),
        ("prepare", "make the role and the extension, or remove them"),
    ):
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        command.add_argument(
            "--config", type=Path, metavar="FILE",
            help=f"settings as JSON (default: {_CONFIG}, if it is there)",
        )  # fmt: skip
        command.add_argument(
            "--database", metavar="URL",
            help="postgresql://monitoring@HOST:PORT/DATABASE (default: the settings', else $DATABASE_URL)",
        )  # fmt: skip
        for option, said in _OPTIONS.items():
            kind = type(getattr(defaults, option))
            command.add_argument(
                f"--{option.replace('_', '-')}", metavar="N" if kind in (int, float) else "WORD",
                type=Path if issubclass(kind, Path) else kind, help=said,
            )  # fmt: skip
        for option, said in _LISTS.items():
            command.add_argument(f"--{option.replace('_', '-')}", nargs="*", metavar="WORD", help=said)  # fmt: skip
        command.add_argument("--json", action="store_true", help="print the result as JSON")
        made[name] = command
    made["report"].add_argument(
        "--with-page", action="store_true", help="with --json: the page is in it, too"
    )
    made["page"].add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="the page; - prints it"
    )
    made["history"].add_argument(
        "--since", type=_seconds, default=0, metavar="TIME", help="UTC, e.g. 2026-11-16T02:00:00Z"
    )
    made["history"].add_argument(
        "--also", action="append", default=[], metavar="CONTAINER",
        help="one that has to run as the server's has to; may be given again",
    )  # fmt: skip
    made["sample"].add_argument(
        "--quiet", action="store_true", help="say nothing when all is well: for a schedule"
    )
    prepare = made["prepare"]
    prepare.add_argument("--role", default="monitoring", help="its name (default: monitoring)")
    prepare.add_argument("--passfile", type=Path, required=True, metavar="FILE", help="its password")  # fmt: skip
    prepare.add_argument("--plain", type=Path, metavar="FILE", help="the bare password, too")
    prepare.add_argument("--password-stdin", action="store_true", help="take the password from stdin")  # fmt: skip
    prepare.add_argument("--remove", action="store_true", help="remove what it made, nothing else")
    return parser


def _seconds(text: str) -> int:
    found = moment(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is no time such as 2026-11-16T02:00:00Z")
    return int(found.timestamp())


def _options(words: argparse.Namespace) -> Options:
    """The file's settings, then the environment's URL where there is none, then the options."""
    path = words.config or (_CONFIG if os.access(_CONFIG, os.R_OK) else None)
    found: dict[str, Any] = options.from_file(path) if path else {}
    for name in (one.name for one in fields(Options)):
        given = getattr(words, name, None)
        if given is not None:
            found[name] = tuple(given) if isinstance(given, list) else given
    url = words.database or found.get("url") or os.environ.get("DATABASE_URL", "")
    if words.command != "history":  # which asks no server
        session.words_of(url)
    return Options(**{**found, "url": url})


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
