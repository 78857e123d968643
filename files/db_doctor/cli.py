"""The command line."""

from __future__ import annotations

import argparse
import json
import os
import traceback
from pathlib import Path

from db_status import options as status_options
from db_status.errors import StatusError
from pg_tools.report import Report

from db_doctor import __version__, look, mend, options, rules, show
from db_doctor.errors import DoctorError, Exit
from db_doctor.finding import Finding

_EPILOG = """
examples:
  db_doctor                    Everything, from the outside in; changes nothing.
  db_doctor mend sequences     Mends exactly that, and looks again.

Everything is asked from inside the containers: it needs root, and works with the server down, without Docker, and
without an app. Settings that differ from Brainer's come from --config, a JSON file; /dev/stdin is one.

exit codes: 0 nothing found, 1 something could not be looked at (or the command failed, and nothing was changed),
            2 usage, 3 problems found
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        the exit code, see ``errors.Exit``.
    """
    os.umask(0o077)
    words = _parser().parse_args(arguments)
    report = Report(words.command)
    try:
        # what only root may see would look like an engine that is down
        if os.geteuid() != 0:
            raise DoctorError("only root sees everything", next="sudo db_doctor")
        chosen = options.from_file(words.config) if words.config else options.Options()
        if words.command == "mend":
            _mend(chosen, words.what, report)
        _look(chosen, report)
    except DoctorError as error:
        report.exit_code, report.error, report.verdict = error.code, error.lines(), "failed"
    except KeyboardInterrupt:
        report.error, report.verdict = ["error: interrupted", "next:  run it again"], "failed"
    except Exception as error:
        traceback.print_exc()
        report.error = [f"error: an unexpected error: {error!r}", "next:  report it"]
        report.verdict, report.exit_code = "failed", Exit.REFUSED
    if words.json:
        print(json.dumps(report.as_dict(), ensure_ascii=False, default=str))
    else:
        print("\n".join([*report.lines, *report.error]))
    return int(report.exit_code)


def _look(chosen: options.Options, report: Report) -> list[Finding]:
    facts = look.look(chosen)
    found = rules.judge(facts, chosen, _limits(chosen.monitoring))
    advice = rules.advice(facts)
    report.lines += show.lines(found, facts.notes, advice)
    report.data.update(findings=[one.as_dict() for one in found], notes=facts.notes, advice=advice)
    report.verdict = show.verdict(found)
    report.exit_code = Exit.DIFFERENT if found else Exit.REFUSED if facts.notes else Exit.DONE
    return found


def _mend(chosen: options.Options, what: str, report: Report) -> None:
    facts = look.look(chosen)
    if what not in {one.name for one in rules.judge(facts, chosen, _limits(chosen.monitoring))}:
        raise DoctorError(
            f"there is nothing to mend: {what} was not found", next="db_doctor says what there is"
        )
    done = mend.MENDS[what](facts, chosen)
    report.changed = True
    report.lines += [f"mended: {line}" for line in done]


def _limits(path: Path) -> status_options.Options:
    """What role monitoring has set; the program's own where there is nothing."""
    if not os.access(path, os.R_OK):
        return status_options.Options()
    try:
        return status_options.Options(**status_options.from_file(path))
    except StatusError as error:
        raise DoctorError(error.what, where=error.where, next=error.next, code=error.code) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="db_doctor",
        description="Say why it doesn't work: each cause with its evidence, and what mends it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"db_doctor {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, metavar="FILE", help="settings as JSON")
    common.add_argument("--json", action="store_true", help="print the result as JSON")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser(
        "look", parents=[common], help="everything, the outermost cause first (default)"
    )
    made = commands.add_parser("mend", parents=[common], help="mend one thing, and look again")
    made.add_argument("what", choices=sorted(mend.MENDS), help="what was found")
    # without a command it looks: in an emergency nobody should have to know a word
    parser.set_defaults(command="look", config=None, json=False)
    return parser
