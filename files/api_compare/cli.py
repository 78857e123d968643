"""The commands. Exit codes: 0 equal, 1 failed, 2 bad usage, 3 differences found."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from api_compare.capture import Answers, capture, read_capture, write_capture
from api_compare.compare import Compared, Difference, compare
from api_compare.endpoints import EXAMPLE, read_endpoints
from api_compare.errors import Failed
from api_compare.writes import EXAMPLE as EXAMPLE_STEPS
from api_compare.writes import (
    compare_answers,
    perform,
    read_answers,
    read_steps,
    write_answers,
)

EQUAL, DIFFERENT = 0, 3
SHOWN = 20  # differences shown; all are counted
LONGEST = 120  # characters of a value on the terminal


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.command(arguments)
    except Failed as error:
        if arguments.json:
            print(json.dumps({"status": "failed", "error": str(error)}))
        print(f"api_compare: {error}", file=sys.stderr)
        return error.exit_code
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="api_compare", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    taking = commands.add_parser("capture", help="write down what the API answers")
    taking.add_argument("--base", required=True, metavar="URL", help="http://127.0.0.1:8000")
    taking.add_argument("--endpoints", required=True, type=Path, metavar="FILE", help=EXAMPLE)
    taking.add_argument("--out", required=True, type=Path, metavar="FILE")
    taking.add_argument(
        "--max-items", type=_positive, default=2000, help="of each endpoint (%(default)s)"
    )
    taking.add_argument(
        "--timeout", type=float, default=30, help="seconds per answer (%(default)s)"
    )
    taking.set_defaults(command=_capture)

    writing = commands.add_parser(
        "write", help="make requests that write, and write down the answers"
    )
    writing.add_argument("--base", required=True, metavar="URL", help="of a copy of the app")
    writing.add_argument("--steps", required=True, type=Path, metavar="FILE", help=EXAMPLE_STEPS)
    writing.add_argument("--out", required=True, type=Path, metavar="FILE")
    writing.add_argument(
        "--timeout", type=float, default=30, help="seconds per answer (%(default)s)"
    )
    writing.set_defaults(command=_write)

    telling = commands.add_parser("compare", help="tell two captures apart")
    telling.add_argument("before", type=Path)
    telling.add_argument("after", type=Path)
    telling.set_defaults(command=_compare)

    also = commands.add_parser("compare-writes", help="tell the answers of two `write` apart")
    also.add_argument("before", type=Path)
    also.add_argument("after", type=Path)
    also.set_defaults(command=_compare_writes)

    for command in (taking, writing, telling, also):
        command.add_argument("--json", action="store_true", help="the result as JSON on stdout")
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


def _capture(arguments: argparse.Namespace) -> int:
    def report(answers: Answers) -> None:
        if not arguments.json:
            print(_captured(answers), flush=True)

    endpoints = read_endpoints(arguments.endpoints)
    started = time.monotonic()
    taken = capture(arguments.base, endpoints, arguments.max_items, arguments.timeout, report)
    try:
        write_capture(taken, arguments.out)
    except OSError as error:
        raise Failed(f"{arguments.out}: {error.strerror}") from error
    if arguments.json:
        summary = {
            "status": "captured",
            "out": str(arguments.out),
            "seconds": round(time.monotonic() - started, 3),
            "endpoints": [
                {
                    "list": answers.list_path,
                    "elements": len(answers.elements),
                    "items": len(answers.items),
                    "sampled": answers.sampled,
                }
                for answers in taken.endpoints
            ],
        }
        print(json.dumps(summary))
    return EQUAL


def _captured(answers: Answers) -> str:
    items = f"{len(answers.items)} items"
    if answers.sampled:
        items = f"{len(answers.items)} of {len(answers.elements)} items, evenly spread"
    return f"{answers.list_path}: {len(answers.elements)} listed, {items}"


def _compare(arguments: argparse.Namespace) -> int:
    verdicts = compare(read_capture(arguments.before), read_capture(arguments.after))
    differences = [difference for verdict in verdicts for difference in verdict.differences]
    if arguments.json:
        print(json.dumps(_as_json(verdicts, differences)))
    else:
        for verdict in verdicts:
            print(_told(verdict))
        _print_differences(differences)
    return DIFFERENT if differences else EQUAL


def _write(arguments: argparse.Namespace) -> int:
    answers = perform(arguments.base, read_steps(arguments.steps), arguments.timeout)
    write_answers(answers, arguments.out)
    if arguments.json:
        print(
            json.dumps({"status": "written", "out": str(arguments.out), "requests": len(answers)})
        )
    else:
        print(f"{len(answers)} requests")
    return EQUAL


def _compare_writes(arguments: argparse.Namespace) -> int:
    told = compare_answers(read_answers(arguments.before), read_answers(arguments.after))
    if arguments.json:
        result = {"requests": told.requests, "requests_equal": told.equal}
        print(json.dumps(result | _differences_as_json(told.differences)))
    else:
        print(f"{told.equal} of {told.requests} requests answered alike")
        _print_differences(told.differences)
    return DIFFERENT if told.differences else EQUAL


def _print_differences(differences: list[Difference]) -> None:
    for difference in differences[:SHOWN]:
        print(f"  {difference.path}  {difference.field}")
        print(f"    before  {_short(difference.before)}")
        print(f"    after   {_short(difference.after)}")
    if len(differences) > SHOWN:
        print(f"  … and {len(differences) - SHOWN} more")
    print(f"{len(differences)} differences" if differences else "equal")


def _told(verdict: Compared) -> str:
    line = (
        f"{verdict.list_path}: {verdict.elements_equal} of {verdict.elements} listed equal, "
        f"{verdict.items_equal} of {verdict.items} items equal"
    )
    if verdict.items_not_compared:
        line += f", {verdict.items_not_compared} items compared as listed only"
    return line


def _short(value: Any) -> str:
    text = repr(value) if not isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _as_json(verdicts: list[Compared], differences: list[Difference]) -> dict[str, Any]:
    return {
        "endpoints": [
            {
                "list": verdict.list_path,
                "elements": verdict.elements,
                "elements_equal": verdict.elements_equal,
                "items": verdict.items,
                "items_equal": verdict.items_equal,
                "items_not_compared": verdict.items_not_compared,
                "differences": len(verdict.differences),
            }
            for verdict in verdicts
        ],
    } | _differences_as_json(differences)


def _differences_as_json(differences: list[Difference]) -> dict[str, Any]:
    return {
        "status": "different" if differences else "equal",
        "differences": [
            {
                "path": difference.path,
                "field": difference.field,
                "before": _short(difference.before),
                "after": _short(difference.after),
            }
            for difference in differences[:SHOWN]
        ],
        "differences_total": len(differences),
    }
