"""Migrate every database of the corpus, and let the oracle judge: ``make corpus``.

    python -m tests.migrate_db.corpus [FILE…]      without a FILE: fetched and made by hand

Prints one line a file. The exit code is 1 if the oracle has a complaint, a command ended in a
traceback, a source changed, or a refusal has no finding.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from ...postgres import PostgresContainer
from . import fetch
from .oracle import judge

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
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def text(self) -> str:
        codes = " ".join(str(self.codes.get(c, "-")) for c in ("check", "plan", "run", "verify"))
        return (
            f"{self.name[:44]:44} {self.size / 1e6:8.1f} {self.tables:6} {self.rows:9,}"
            f"   {codes}  {self.uncarried:9} {self.seconds:7.1f}   "
            + (f"{len(self.problems)} PROBLEMS" if self.problems else "equal")
        )


HEAD = (
    f"{'file':44} {'MB':>8} {'tables':>6} {'rows':>9}   exits  {'uncarried':>12} {'seconds':>7}"
    "   oracle\n" + " " * 71 + "c p r v"
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
    before = _bytes(path)
    database = f"corpus_{secrets.token_hex(4)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {database}".encode())
        url = server.rpartition("/")[0] + f"/{database}"
        begun = time.monotonic()
        report: dict[str, Any] = {}
        for command in ("check", "plan", "run", "verify"):
            code, report_, text = _call(command, path, url)
            line.codes[command] = code
            if "Traceback" in text or not report_:
                line.problems.append(f"{command}: {text[-1500:]}")
            if command == "run":
                report, line.seconds = report_, time.monotonic() - begun
            if command == "run" and code != 0:
                found = report.get("findings", [])
                line.problems += [f"finding: {f['table']}.{f['column']} [{f['key']}] {f['value']}:"
                                  f" {f['reason']}" for f in found[:5]]  # fmt: skip
                line.problems += [f"run: {' | '.join(report.get('error', []))}"]
                break
            if command == "verify" and code != 0:
                line.problems.append(f"verify: exit {code} {text[-300:]}")
        line.tables = len(report.get("tables", []))
        line.rows = sum(table["rows"] for table in report.get("tables", []))
        line.uncarried = len(report.get("uncarried", []))
        if line.codes.get("run") == 0:
            try:
                line.problems += judge(path, url, report)
            except Exception as error:
                line.problems.append(f"the oracle itself failed: {error!r}")
                if details:
                    raise
        admin.execute(f"DROP DATABASE {database} WITH (FORCE)".encode())
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


def _call(command: str, path: Path, url: str) -> tuple[int, dict[str, Any], str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "files"), "DATABASE_URL": url}
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory, "report.json")
        done = subprocess.run(
            [sys.executable, "-m", "migrate_db", command, "--source", path, "--report", report,
             "--work-dir", directory],
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
