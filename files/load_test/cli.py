"""Command line.

  load_test measure --side SQLite --url URL --settings FILE --rounds DIRECTORY
  load_test measure --side PostgreSQL --url URL --settings FILE --rounds DIRECTORY
  load_test compare --rounds DIRECTORY --out DIRECTORY

Exit codes: 0 done, 1 the app could not be put under load, 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from pg_tools.errors import Exit, Failure

from load_test import ab, compare, page, settings, wrk
from load_test.measured import Measured


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = _parser().parse_args(arguments)
    try:
        lines = _measure(words) if words.command == "measure" else _compare(words)
    except Failure as failure:
        print("\n".join(failure.lines()), file=sys.stderr)
        return int(failure.code)
    except OSError as error:
        print(f"error: a file can't be used: {error}", file=sys.stderr)
        return int(Exit.REFUSED)
    print("\n".join(lines))
    return int(Exit.DONE)


def _measure(words: argparse.Namespace) -> list[str]:
    url = words.url.rstrip("/")
    wanted = settings.from_file(words.settings)
    settings.demand_local(url)
    found = [ab.measure(url, wanted)]
    if wanted.seconds:
        found.append(wrk.measure(url, wanted))
    words.rounds.mkdir(parents=True, exist_ok=True)
    number = len(list(words.rounds.glob("*.json"))) + 1
    taken = {"side": words.side, "loads": [asdict(one) for one in found]}
    (words.rounds / f"{number:04}.json").write_text(json.dumps(taken) + "\n", encoding="utf-8")
    return [
        f"{one.load}: {one.per_second:.1f} requests/s, {one.failed} of {one.requests} failed"
        for one in found
    ]


def _compare(words: argparse.Namespace) -> list[str]:
    rounds: dict[str, list[list[Measured]]] = {}
    for path in sorted(words.rounds.glob("*.json")):
        taken = json.loads(path.read_text(encoding="utf-8"))
        rounds.setdefault(taken["side"], []).append([Measured(**one) for one in taken["loads"]])
    if not rounds:
        raise Failure("there are no rounds", where=str(words.rounds), next="load_test measure")
    loads = compare.sides(rounds)
    at = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    where = words.host or platform.node()
    report = {"host": where, "at": at, "loads": compare.plain(loads), "verdict": compare.verdict(loads)}  # fmt: skip
    words.out.mkdir(parents=True, exist_ok=True)
    (words.out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (words.out / "report.html").write_text(page.render(loads, where, at), encoding="utf-8")
    return [*compare.table(loads), "", *compare.verdict(loads)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="load_test",
        description="Put the app under the same load with one database and with another.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    measure = commands.add_parser("measure", help="one round on one side")
    measure.add_argument("--side", required=True, metavar="NAME", help="as the table shall call it")
    measure.add_argument("--url", required=True, help="of the app, on this machine")
    measure.add_argument("--settings", type=Path, required=True, metavar="FILE")
    both = commands.add_parser("compare", help="the rounds of both sides, as table and page")
    both.add_argument("--out", type=Path, required=True, metavar="DIRECTORY")
    both.add_argument("--host", default="", help="name for the page (default: this machine's)")
    for command in (measure, both):
        command.add_argument("--rounds", type=Path, required=True, metavar="DIRECTORY")
    return parser
