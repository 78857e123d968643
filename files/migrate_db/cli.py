"""The command line."""

from __future__ import annotations

import argparse
import io
import os
import shlex
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from migrate_db import __version__, commands, interruption, outputs, report
from migrate_db.errors import Exit, MigrationError
from migrate_db.events import Bar, Events, Plain, Screen
from migrate_db.failures import explained
from migrate_db.options import Options
from migrate_db.postgresql import names
from migrate_db.report import Report

_EPILOG = """
examples:
  migrate_db check --source brainer.db
      Read every value; list what PostgreSQL would not take. Needs no server.
  migrate_db run --source brainer.db --target postgresql://brainer@127.0.0.1/brainer
      Load, read every value back, compare; all of it or nothing.
  migrate_db run … --rehearse
      The same, taken back at the end. Shows how long it takes.
  migrate_db verify --source brainer.db --target …
      Compare both sides, row by row. Changes nothing.
  migrate_db plan --source app.db --write-mapping app.yml
      Propose what becomes of values that PostgreSQL can't hold; then run --mapping app.yml.
  migrate_db run … --on-finding quarantine
      Put rows with such values into a file, migrate and prove the rest.
  migrate_db close; migrate_db reverse --source kept.db --into brainer.db
      The way back: the SQLite file with what the app wrote to PostgreSQL since, proved.
  migrate_db reverse --source kept.db --check-only
      What that would carry, and what SQLite can't hold. Changes nothing.

kept.db is what `run --keep-snapshot kept.db` kept.

The password is best kept in DATABASE_URL or a passfile, not in --target: arguments can be
seen by everybody on the machine. The source is never written to.

exit codes: 0 done or already so, 1 refused or failed with nothing changed, 2 usage,
            3 the sides differ or rows were quarantined, 4 another run holds the lock,
            5 failed after a change
"""


#: Commands that ask the target alone.
_WITHOUT_SOURCE = ("open", "close", "status")


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        the exit code, see ``errors.Exit``.
    """
    interruption.listen()
    words = _parser().parse_args(arguments)
    told = Report(words.command)
    try:
        with ExitStack() as stack:
            options = _options(words)
            events = Events(_screen(words), _journal(words, stack))
            told.phases = events.phases
            _perform(words.command)(options, events, told)
    except KeyboardInterrupt:
        _failed(told, _stopped(told))
    except Exception as error:
        if interruption.broke_off(error):
            error = _stopped(told)
        known = explained(error, str(told.target.get("database", "")))
        if known is None:
            raise
        _failed(told, known)
    _write(words, told)
    _print(told.json_pieces() if words.json else report.lines(told), "" if words.json else "\n")
    return int(told.exit_code)


def _write(words: argparse.Namespace, told: Report) -> None:
    try:
        if words.report:
            told.write_json(words.report)
        if words.html:
            from migrate_db import page

            page.write(told, words.html)
    except OSError as error:
        print(f"the report can't be written: {error}", file=sys.stderr)


def _print(pieces: Iterable[str], end: str) -> None:
    """Show the report. What was done is done: the exit code says so, whether anybody reads it or not."""
    if sys.stdout is None:  # which somebody closed
        return
    try:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        interruption.forget()
        with interruption.Welcome():  # nobody need read it
            for piece in pieces:
                print(piece, end=end)
            sys.stdout.flush()
    except (OSError, KeyboardInterrupt) as error:
        if not isinstance(error, (BrokenPipeError, KeyboardInterrupt)) and sys.stderr is not None:
            print(f"the report can't be printed: {error}", file=sys.stderr)
        # Python would try again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(told: Report, error: MigrationError) -> None:
    changed = told.changed and error.code == Exit.REFUSED
    told.exit_code = Exit.CHANGED if changed else error.code
    told.error = error.lines()
    told.verdict = {Exit.DIFFERENT: "different", Exit.CHANGED: "unfinished"}.get(
        told.exit_code, "refused"
    )


def _perform(command: str) -> Callable[[Options, Events, Report], None]:
    return {
        "check": commands.check,
        "plan": commands.plan_,
        "run": commands.run,
        "verify": commands.verify,
        "open": commands.open_,
        "close": commands.close,
        "reverse": commands.reverse,
        "status": commands.status,
    }[command]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="migrate_db",
        description="Move a SQLite database to PostgreSQL and prove that every value arrived.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"migrate_db {__version__}")
    commands_ = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("check", "read every value and list what can't be carried; changes nothing"),
        ("plan", "show types, order and DDL; changes nothing"),
        ("run", "migrate: load, read back, compare; all or nothing"),
        ("verify", "compare both sides row by row; changes nothing"),
        ("open", "let the app write to a target that was loaded with --hold"),
        ("close", "let the app only read, and end its sessions: the opposite of open"),
        ("reverse", "make the SQLite file again, with what PostgreSQL holds now; proved"),
        ("status", "say whether the target was loaded, and whether the app lives on it"),
    ):
        command = commands_.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + "."
        )
        if name not in _WITHOUT_SOURCE:
            command.add_argument("--source", type=Path, required=True, help="the SQLite file")
            command.add_argument(
                "--work-dir", type=Path, default=Path("/var/tmp"), metavar="DIR",
                help="where the snapshot lies while it is needed; on disk, not in memory"
                " (default /var/tmp)",
            )  # fmt: skip
        command.add_argument(
            "--target", default=os.environ.get("DATABASE_URL", ""), metavar="URL",
            help="postgresql://USER@HOST:PORT/DATABASE (default: $DATABASE_URL); what it doesn't say, PGHOST and"
            " the like do, so that postgresql:// alone is enough with these",
        )  # fmt: skip
        command.add_argument(
            "--schema", default="public", help="PostgreSQL schema of the tables (default public)"
        )
        command.add_argument("--json", action="store_true", help="print the report as JSON")
        command.add_argument("--report", type=Path, metavar="FILE", help="write the JSON report")
        command.add_argument("--html", type=Path, metavar="FILE", help="write the report as a page")
        command.add_argument(
            "--events", type=Path, metavar="FILE", help="append progress as JSON lines"
        )
        if name == "reverse":
            _reverse_options(command)
        elif name not in _WITHOUT_SOURCE:
            _value_options(command, name)
        if name in ("check", "plan", "run"):
            command.add_argument(
                "--target-disk", type=Path, metavar="DIR",
                help="a directory on the server's disk, to check its free space first",
            )  # fmt: skip
        if name == "run":
            _run_options(command)
        if name == "verify":
            command.add_argument(
                "--rows", type=Path, metavar="FILE",
                help="write every row that differs, with both sides' values, as JSON lines",
            )  # fmt: skip
    return parser


def _value_options(command: argparse.ArgumentParser, name: str) -> None:
    command.add_argument(
        "--mapping", type=Path, metavar="FILE",
        help="what to do with tables, columns and values; `plan --write-mapping` writes one",
    )  # fmt: skip
    command.add_argument(
        "--include", action="append", default=[], metavar="PATTERN",
        help="only tables whose name matches, e.g. 'auth_*'; may be given several times",
    )  # fmt: skip
    command.add_argument(
        "--exclude", action="append", default=[], metavar="PATTERN",
        help="not the tables whose name matches",
    )  # fmt: skip
    command.add_argument(
        "--on-finding", choices=("refuse", "quarantine"), default="",
        help="what to do with rows that can't be carried: nothing at all (default), or carry"
        " the others and write these to a file (exit code 3)",
    )  # fmt: skip
    command.add_argument(
        "--findings", type=Path, metavar="FILE", help="write every finding, as JSON lines"
    )
    if name == "plan":
        command.add_argument(
            "--write-mapping", type=Path, metavar="FILE",
            help="write a mapping to edit: every type that was chosen, and what resolves each"
            " finding",
        )  # fmt: skip
    if name == "run":
        command.add_argument(
            "--quarantine-file", type=Path, metavar="FILE",
            help="where quarantined rows go, as a SQLite file with why each is there"
            " (default: beside --report, or here)",
        )  # fmt: skip


def _run_options(command: argparse.ArgumentParser) -> None:
    way = command.add_mutually_exclusive_group()
    way.add_argument(
        "--replace", action="store_true",
        help="replace the tables of a target that isn't empty, after keeping a dump",
    )  # fmt: skip
    way.add_argument(
        "--catch-up", action="store_true",
        help="bring a target that was migrated before up to the source",
    )  # fmt: skip
    command.add_argument(
        "--given-up", action="store_true",
        help="with --catch-up, after `close`: what the app wrote to the target is given up, or in the source already",
    )  # fmt: skip
    command.add_argument(
        "--rehearse", action="store_true", help="do it all, prove it, and take it back"
    )
    command.add_argument(
        "--hold", action="store_true", help="keep the target read-only until `migrate_db open`"
    )
    command.add_argument(
        "--allow-empty", action="store_true", help="migrate a source without a single row"
    )
    command.add_argument(
        "--keep-dump", type=Path, default=Path("."), metavar="DIR",
        help="where --replace keeps its dump (default: here)",
    )  # fmt: skip
    command.add_argument(
        "--server-tools", default="", metavar="WORDS",
        help="words before pg_dump, to use the server's own:"
        " 'docker exec -i -e PGUSER -e PGPASSWORD -e PGDATABASE brainer-postgres'",
    )  # fmt: skip
    command.add_argument(
        "--keep-snapshot", type=Path, metavar="FILE",
        help="keep the snapshot that was proved, read-only",
    )  # fmt: skip


def _reverse_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--into", type=Path, metavar="FILE",
        help="the SQLite file to make; one that is there is replaced when the new one is proved, and kept beside it if"
        " it is neither as it was migrated nor what an earlier `reverse` made",
    )  # fmt: skip
    command.add_argument(
        "--overwrite", action="store_true",
        help="don't keep the file that --into replaces, whatever it holds",
    )  # fmt: skip
    command.add_argument(
        "--check-only", action="store_true",
        help="make and prove the file in --work-dir, say what it carries or why it can't be made,"
        " and throw it away",
    )  # fmt: skip
    command.add_argument(
        "--expect-sha256", default="", metavar="HEX",
        help="of --source, if it is not the one that the target remembers",
    )  # fmt: skip
    command.add_argument(
        "--leave-out", action="append", default=[], metavar="NAME",
        help="a TABLE or TABLE.COLUMN that stays as it was at the cut-over, or stays behind;"
        " a pattern like 'log_*' is fine; may be given several times",
    )  # fmt: skip
    command.add_argument(
        "--findings", type=Path, metavar="FILE", help="write every finding, as JSON lines"
    )


def _options(words: argparse.Namespace) -> Options:
    if not words.target and words.command not in ("check", "plan"):
        raise MigrationError(
            "no target was given",
            next="pass --target postgresql://USER@HOST/DATABASE, or set DATABASE_URL",
            code=Exit.USAGE,
        )
    if words.command == "reverse" and not (words.into or words.check_only):
        raise MigrationError(
            "where the SQLite file is to be was not said",
            next="pass --into FILE, or --check-only",
            code=Exit.USAGE,
        )
    _demand_schema(words.schema)
    outputs.demand(words)
    given = {key: value for key, value in vars(words).items() if key in Options.__annotations__}
    for patterns in ("include", "exclude", "leave_out"):
        given[patterns] = tuple(given.get(patterns) or ())
    given["server_tools"] = tuple(shlex.split(given.get("server_tools", "")))
    return Options(**{"source": Path(), **given})


def _demand_schema(name: str) -> None:
    """PostgreSQL keeps some names to itself, cuts long ones, and one is ours."""
    kept = name in ("", "information_schema", "migrate_db") or name.startswith("pg_")
    if not kept and len(os.fsencode(name)) <= names.BYTES:
        return
    raise MigrationError(
        f"no table can be in a schema called {name!r}" if name else "--schema is empty",
        where="--schema",
        next="pass another name; without --schema it is public",
        code=Exit.USAGE,
    )


def _screen(words: argparse.Namespace) -> Screen:
    if words.json or sys.stderr is None:  # which somebody closed
        return Screen()
    if sys.stderr.isatty():
        try:
            return Bar()
        except ImportError:
            pass
    return Plain()


def _journal(words: argparse.Namespace, stack: ExitStack) -> IO[str] | None:
    if words.events is None:
        return None
    try:
        return stack.enter_context(open(words.events, "a", encoding="utf-8"))
    except OSError as error:
        raise MigrationError(
            f"--events can't be written: {error.strerror}",
            where=str(words.events),
            next="pass a file that may be written",
            code=Exit.USAGE,
        ) from None


def _stopped(told: Report) -> MigrationError:
    done = "everything had arrived" if told.changed else "nothing was changed"
    return MigrationError(f"interrupted; {done}", next="run it again")
