"""The command: ``app_check DIRECTORY``. Exit codes: 0 fine, 2 usage, 3 something PostgreSQL would refuse."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from app_check.finding import ERROR, Finding
from app_check.project import check, python_files


def main(arguments: Sequence[str] | None = None) -> int:
    """Look, tell, and say by the exit code whether somebody has to do something."""
    words = _parser().parse_args(arguments)
    directory = Path(words.directory)
    if not directory.is_dir():
        return _usage(f"{directory} is not a directory", "name the directory of the app's sources")
    if not any(python_files(directory)):
        return _usage(f"{directory} has no Python file", "name the directory of the app's sources")
    accepted = frozenset(words.accept)
    found = check(directory, words.dockerfile, words.health_path)
    refused = [one for one in found if one.level == ERROR and not one.accepted(accepted)]
    if words.json:
        listed = [{**asdict(one), "where": one.where, "refused": one in refused} for one in found]
        print(json.dumps({"directory": str(directory), "findings": listed}))
    else:
        _show(found, refused, accepted)
    return 3 if refused else 0


def _show(found: list[Finding], refused: list[Finding], accepted: frozenset[str]) -> None:
    for one in found:
        level = "accepted" if one.accepted(accepted) else one.level
        print(f"{one.where}: {level}: {one.what} [{one.rule}]\n    instead: {one.instead}")
    print(f"{len(refused)} to mend, {len(found) - len(refused)} to know")


def _usage(what: str, following: str) -> int:
    print(f"error: {what}\nNext: {following}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="app_check",
        description="What PostgreSQL needs of an app that is on SQLite: file, line, and what to write instead.",
    )
    parser.add_argument("directory", help="the app's sources; only read")
    parser.add_argument("--dockerfile", default="", help="look at this file in it, too")
    parser.add_argument("--health-path", default="", help="path that the app has to answer at")
    parser.add_argument(
        "--accept", action="append", default=[], metavar="RULE[:FILE]", help="know it, and go on"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser
