"""The command line."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from pg_tools.report import Report

from db_backup import __version__, options, run, server, status
from db_backup.alarm import Alarm
from db_backup.commands import COMMANDS
from db_backup.errors import BackupError, Exit
from db_backup.log import Log
from db_backup.options import Options

#: Where role `backup` leaves the settings: in an emergency nobody should have to know a path.
_CONFIG = Path(os.environ.get("DB_BACKUP_CONFIG", "/opt/brainer-db/backup/config.json"))

_EPILOG = """
examples:
  db_backup backup --container brainer-postgres --dir /opt/brainer/backups --database URL
      One set now: dumped, read back, with the digest of every table.
  db_backup drill …       Restore the newest set into a throw-away server and compare it.
  db_backup with latest -- psql …   A throw-away server with the newest set, for one command.
  db_backup restore …     Restore beside the live database, compare, then swap; --undo goes back.
  db_backup status …      Is the newest backup young enough, was it tried, is it off-site?

Settings come from --config, and options win over it. The password is best kept in a passfile.

exit codes: 0 done or already so, 1 refused or failed with nothing changed (status: a limit is broken),
            2 usage, 3 a set or what came out of it is not what it was, 4 another run holds the lock,
            5 failed after a change
"""

#: Settings that are an option, too, and what it says.
_OPTIONS = {
    "dir": "where the sets are",
    "container": "the server's container, whose own pg_dump is used",
    "server_tools": "words before pg_dump instead: 'docker exec -i -e PGUSER NAME'",
    "image": "image of the throw-away server of a drill (default: the one of the backup)",
    "keep_days": "days of which every set stays",
    "keep_weeks": "weeks of which the last set stays",
    "keep_months": "months of which the last set stays",
    "keep_least": "sets that stay whatever their age",
    "floor_mb": "free space, in MiB, that is left for the database",
    "lock_timeout": "seconds to wait for a table that somebody locks",
    "timeout": "seconds that a run may take",
    "compress": "pg_dump's --compress (default: zstd if it can)",
    "server_disk": "a directory on the server's disk, to see its free space before a restore",
    "drill_memory_mb": "memory of the throw-away server, in MiB",
    "wal_dir": "changes and base backups, for recovery to a point in time",
    "wal_slot": "the receiver's replication slot",
    "wal_keep_days": "days back that can be recovered to",
    "wal_base_days": "days between two base backups",
    "wal_max_mb": "changes that are kept, in MiB",
    "max_wal_lag_minutes": "status: age of the last change that was received",
    "offsite_repository": "restic's repository",
    "offsite_password_file": "restic's password file",
    "offsite_env_file": "KEY=value lines for restic's backend",
    "offsite_timeout": "seconds that restic may take",
    "max_age_hours": "status: age of the newest set",
    "max_drill_age_days": "status: age of the last drill; 0: none is expected",
    "max_offsite_age_hours": "status: age of the newest set off-site",
    "metrics": "file for Prometheus' textfile collector",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        the exit code, see ``errors.Exit``.
    """
    os.umask(0o077)
    given = sys.argv[1:] if arguments is None else arguments
    # what comes after -- is another program's
    end = given.index("--") if given[:1] == ["with"] and "--" in given else len(given)
    words = _parser().parse_args(given[:end])
    words.words = given[end + 1 :]
    signal.signal(signal.SIGTERM, _interrupt)
    log = Log(quiet=words.quiet)
    report = Report(words.command)
    try:
        chosen = _options(words)
    except BackupError as error:
        chosen = None
        _failed(report, error, log)
    if chosen is not None:
        alarm = Alarm(chosen, words.command, log) if words.alarm else None
        _perform(chosen, words, report, log, alarm)
    if words.command == "with" and not words.json:
        # what goes to standard output is the command's own
        print("\n".join(report.error), file=sys.stderr, end="\n" * bool(report.error))
    elif words.json:
        print(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        print("\n".join([*report.lines, *report.error]))
    return int(report.exit_code)


def _perform(
    chosen: Options, words: argparse.Namespace, report: Report, log: Log, alarm: Alarm | None
) -> None:
    if alarm is not None:
        alarm.started()
    this = run.start(chosen, log)
    try:
        COMMANDS[words.command](this, words, report)
        if words.command in ("backup", "nightly", "drill"):
            status.write_metrics(this)
    except KeyboardInterrupt:
        _failed(report, BackupError("interrupted", next="run it again"), log)
    except BackupError as error:
        _failed(report, error, log)
    except OSError as error:
        where = str(error.filename or "")
        what = f"a file can't be used: {error.strerror or error}"
        _failed(
            report,
            BackupError(what, where=where, next="see that there is room, and run it again"),
            log,
        )
    except Exception as error:
        # a mistake of ours must ring as loud as any other
        log.say(traceback.format_exc())
        _failed(report, BackupError(f"an unexpected error: {error!r}", next="report it"), log)
    if alarm is None:
        return
    if report.exit_code == Exit.DONE:
        log.say("\n".join(report.lines))
        alarm.succeeded()
    else:
        alarm.failed(int(report.exit_code))


def _failed(report: Report, error: BackupError, log: Log) -> None:
    changed = report.changed and error.code == Exit.REFUSED
    report.exit_code = Exit.CHANGED if changed else error.code
    report.error = error.lines()
    names = {Exit.DIFFERENT: "different", Exit.LOCKED: "locked", Exit.CHANGED: "unfinished"}
    report.verdict = names.get(Exit(report.exit_code), "failed")
    for line in report.error:
        log.remember(line)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="db_backup",
        description="Back up a PostgreSQL database, prove it, keep it, and bring it back.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"db_backup {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    made = {}
    for name, text in (
        ("backup", "take a backup now, and prove it"),
        ("nightly", "back up, prune, and send off-site: what a schedule runs"),
        ("list", "list the sets"),
        ("verify", "read every byte of a set and compare it with its SHA-256"),
        ("compare", "compare the live database with a set: every table by its digest"),
        ("restore", "restore beside the live database, compare, then swap"),
        ("drill", "restore into a throw-away server and compare"),
        ("with", "restore into a throw-away server and run a command on it: with NAME -- COMMAND"),
        ("prune", "remove sets that newer proved ones outlive"),
        ("status", "one line a limit; exit code 1 if one is broken"),
        ("base", "take a base backup for recovery to a point in time"),
        ("receive", "receive every change of the server; what a service runs"),
        ("offsite", "the copy elsewhere: push, check, list, fetch"),
        ("test-alarm", "let every alarm ring once"),
    ):
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        command.add_argument(
            "--config",
            type=Path,
            metavar="FILE",
            help=f"settings as JSON (default: {_CONFIG}, if it is there)",
        )
        command.add_argument(
            "--database", metavar="URL",
            help="a superuser's postgresql://postgres@HOST:PORT/DATABASE (default: the settings',"
            " else $DATABASE_URL)",
        )  # fmt: skip
        for option, said in _OPTIONS.items():
            default = getattr(Options(), option)
            command.add_argument(
                f"--{option.replace('_', '-')}", type=type(default) if not isinstance(default, Path) else Path,
                metavar=type(default).__name__.upper()[:5], help=said,
            )  # fmt: skip
        command.add_argument("--json", action="store_true", help="print the result as JSON")
        command.add_argument("--quiet", action="store_true", help="no progress on stderr")
        command.add_argument(
            "--alarm", action="store_true", help="tell the monitor of the settings how it went"
        )
        made[name] = command
    made["backup"].add_argument(
        "--before",
        action="store_true",
        help="of what is about to be replaced or given up: `latest` does not mean it",
    )
    for name in ("verify", "compare", "restore", "drill", "with"):
        made[name].add_argument(
            "set", nargs="?", default="latest", help="its name (default: latest)"
        )
    made["restore"].epilog = (
        "SET may also be a time in UTC, for the newest set of then (2026-11-23, '2026-11-23 14:30'),"
        " or a plain dump: /path/file.sql."
    )
    made["compare"].epilog = "SET may also be a manifest alone: /path/file.json."
    made["verify"].epilog = "`all` instead of a name checks every set."
    made[
        "with"
    ].epilog = "COMMAND finds the restored database in $DATABASE_URL; its exit code is ours."
    made["with"].usage = "db_backup with [options] [SET] -- COMMAND [ARGUMENT ...]"
    restore = made["restore"]
    restore.add_argument(
        "--replace", action="store_true", help="put a live database away that holds tables"
    )
    restore.add_argument(
        "--jobs", type=int, default=2, metavar="N", help="pg_restore's (default 2)"
    )
    restore.add_argument("--offsite", action="store_true", help="fetch the set from off-site first")
    restore.add_argument(
        "--without-backup", action="store_true", help="don't back up what is put away by --replace"
    )
    restore.add_argument(
        "--at",
        metavar="TIME",
        help='as it was then: "2026-11-22 14:00", in UTC',
    )
    restore.add_argument(
        "--as", dest="into", metavar="NAME", help="beside the live database, as one of this name"
    )
    restore.add_argument("--undo", action="store_true", help="put the former database back")
    restore.add_argument("--forget", action="store_true", help="drop what restores have put away")
    made["list"].add_argument("--offsite", action="store_true", help="those that are off-site")
    made["prune"].add_argument(
        "--dry-run", action="store_true", help="only say what would go, and why"
    )
    made["offsite"].add_argument("what", choices=["push", "check", "list", "fetch"])
    made["offsite"].add_argument("set", nargs="?", default="latest", help="what to fetch")
    made["offsite"].add_argument(
        "--begin-anew",
        action="store_true",
        help="push: the repository that was used before is gone for good; take or make the one at its place",
    )
    made["receive"].add_argument(
        "--stop",
        action="store_true",
        help="end it for good: the server keeps nothing for it any more",
    )
    made["status"].set_defaults(metrics_file=True)
    return parser


def _options(words: argparse.Namespace) -> Options:
    """The file's settings, then the environment's URL where there is none, then the options."""
    path = words.config or (_CONFIG if os.access(_CONFIG, os.R_OK) else None)
    found: dict[str, Any] = options.from_file(path) if path else {}
    given = {name: getattr(words, name) for name in _OPTIONS}
    found |= {name: value for name, value in given.items() if value is not None}
    url = words.database or found.get("url") or os.environ.get("DATABASE_URL", "")
    chosen = Options(**{**found, "url": url})
    if words.command in ("backup", "nightly", "compare", "restore", "base", "receive") or (
        words.command == "drill" and words.set == "latest" and url
    ):
        server.words_of(url)
    return chosen


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
