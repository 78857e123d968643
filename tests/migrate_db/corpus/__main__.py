"""Migrate every database of the corpus, and let the oracle judge: ``make corpus``.

    python -m tests.migrate_db.corpus [FILE…]      without a FILE: fetched and made by hand

Where `check` lists findings, or no row is there, the mapping that `plan --write-mapping` proposes
is used, unedited; with findings, quarantine is tried, too. Prints one line a file. The exit code
is 1 if the oracle has a complaint, a command ended in a traceback, a source changed, or a refusal
has no finding.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from ...postgres import PostgresContainer
from . import fetch
from .oracle import judge

COMMANDS = ("check", "plan", "run", "verify", "quarantine")
ROOT = Path(__file__).parents[3]


@dataclass
class Line:
    """What became of one file."""

    name: str
    size: int
    codes: dict[str, int] = field(default_factory=dict)
    tables: int = 0
    rows: int = 0
    uncarried: int = 0
    mapped: int = 0  #: findings, for which a mapping was proposed and used
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def text(self) -> str:
        codes = " ".join(str(self.codes.get(c, "-")) for c in COMMANDS)
        return (
            f"{self.name[:44]:44} {self.size / 1e6:8.1f} {self.tables:6} {self.rows:9,}"
            f"   {codes}  {self.uncarried:9} {self.seconds:7.1f}   "
            + (f"{len(self.problems)} PROBLEMS" if self.problems else "equal")
            + (f", {self.mapped} findings resolved by the proposed mapping" if self.mapped else "")
        )


HEAD = (
    f"{'file':44} {'MB':>8} {'tables':>6} {'rows':>9}   exits  {'uncarried':>12} {'seconds':>7}"
    "   oracle\n" + " " * 71 + "c p r v q"
)


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    words.add_argument("files", nargs="*", type=Path, help="SQLite files")
    words.add_argument("--details", action="store_true", help="print what isn't carried, too")
    words.add_argument("--only", default="", help="files whose name has this in it")
    chosen = words.parse_args()
    files = {str(path): path for path in chosen.files} or fetch.all_files()
    PostgresContainer.remove_stale()
    server = PostgresContainer()
    try:
        server.run()
        print(HEAD)
        lines = [
            _one(name, path, server.url, chosen.details)
            for name, path in files.items()
            if chosen.only in name
        ]
    finally:
        server.remove()
    bad = [line for line in lines if line.problems]
    print(
        f"{len(lines)} files, {sum(line.rows for line in lines):,} rows, {len(bad)} with problems"
    )
    return 1 if bad or not lines else 0


def _one(name: str, path: Path, server: str, details: bool) -> Line:
    line = Line(name, path.stat().st_size)
    report: dict[str, Any] = {}
    before = _bytes(path)
    with _database(server) as url, tempfile.TemporaryDirectory() as directory:
        begun = time.monotonic()
        mapping = Path(directory, "mapping.yml")
        words: list[str | Path] = []
        told: dict[str, Any] = {}
        for command in ("check", "plan", "run", "verify"):
            code, told, text = _call(command, path, url, *words)
            line.codes[command] = code
            if "Traceback" in text or not told:
                line.problems.append(f"{command}: {text[-1500:]}")
                break
            empty = not any(table["rows"] for table in told["tables"])
            if command == "check" and ((code == 1 and told["findings"]) or (code == 0 and empty)):
                line.mapped = len(told["findings"])
                _call("plan", path, url, "--write-mapping", mapping)
                words = ["--mapping", mapping]
            elif code != 0:
                line.problems += [f"finding: {f['table']}.{f['column']} [{f['key']}] {f['value']}:"
                                  f" {f['reason']}" for f in told["findings"][:5]]  # fmt: skip
                line.problems += [f"{command}: exit {code} {' | '.join(told['error'])}"]
                break
            if command == "run":
                report, line.seconds = told, time.monotonic() - begun
                line.problems += _judged(path, url, report, details)
                line.tables = len(report["tables"])
                line.rows = sum(table["rows"] for table in report["tables"])
                line.uncarried = len(report["uncarried"])
    if line.mapped:
        with _database(server) as url, tempfile.TemporaryDirectory() as directory:
            aside = Path(directory, "rows.db")
            code, told, text = _call(
                "run", path, url, "--on-finding", "quarantine", "--quarantine-file", aside
            )
            line.codes["quarantine"] = code
            if code not in (0, 3):
                line.problems.append(f"quarantine: exit {code} {text[-500:]}")
            else:
                line.problems += [f"quarantine: {p}" for p in _judged(path, url, told, details)]
    if _bytes(path) != before:
        line.problems.append("the source, or what lies beside it, was changed")
    print(line.text(), flush=True)
    for problem in line.problems[:12]:
        print(f"      {problem}")
    if details:
        for thing in report.get("uncarried", []):
            print(f"      uncarried: {thing['kind']} {thing['name']}: {thing['reason']}")
        for note in report.get("notes", []):
            print(f"      note: {note}")
    return line


@contextmanager
def _database(server: str) -> Iterator[str]:
    name = f"corpus_{secrets.token_hex(4)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
        yield server.rpartition("/")[0] + f"/{name}"
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _judged(path: Path, url: str, report: dict[str, Any], details: bool) -> list[str]:
    try:
        return judge(path, url, report)
    except Exception as error:
        if details:
            raise
        return [f"the oracle itself failed: {error!r}"]


def _call(command: str, path: Path, url: str, *more: str | Path) -> tuple[int, dict[str, Any], str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "files"), "DATABASE_URL": url}
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory, "report.json")
        done = subprocess.run(
            [sys.executable, "-m", "migrate_db", command, "--source", path, "--report", report,
             "--work-dir", directory, *more],
            env=environment, capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        told = json.loads(report.read_text()) if report.exists() else {}
    return done.returncode, told, done.stdout + done.stderr


def _bytes(path: Path) -> dict[str, bytes]:
    return {
        beside.name: beside.read_bytes()
        for beside in path.parent.iterdir()
        if beside.is_file() and beside.name.startswith(path.name)
    }


if __name__ == "__main__":
    sys.exit(main())
