"""Calling the program, and looking at what it says."""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db_status import cli

FILES = Path(__file__).parents[2] / "files"


@dataclass(frozen=True)
class Result:
    code: int
    report: dict[str, Any]

    @property
    def error(self) -> str:
        return "\n".join(self.report.get("error", []))

    @property
    def text(self) -> str:
        return "\n".join(self.report["lines"])

    def crossed(self, name: str) -> list[tuple[str, str, str]]:
        """Level, evidence and next command of each crossed limit of this name."""
        return [
            (one["level"], one["evidence"], one["next"])
            for one in self.report["crossed"]
            if one["name"] == name
        ]

    def unseen(self, what: str) -> list[tuple[str, str]]:
        return [(one["why"], one["next"]) for one in self.report["unseen"] if one["what"] == what]


class Program:
    """``db_status`` on one database, with a history of its own and nobody to ask about backups."""

    def __init__(self, url: str, container: str, directory: Path) -> None:
        self.url, self.container, self.history = url, container, directory / "history.db"

    def words(self, command: str, *words: object, **changed: object) -> list[str]:
        # the machine that tests may be full or busy: what is tested says so itself
        found: dict[str, object] = {
            "database": self.url, "container": self.container, "history": self.history,
            "disk-warning": 0, "disk-critical": 0, "disk-floor-mb": 0, "memory-warning": -1,
            "memory-critical": -1,
        }  # fmt: skip
        found |= {key.replace("_", "-"): value for key, value in changed.items()}
        options = [str(word) for key, value in found.items() for word in (f"--{key}", value)]
        return [command, *map(str, words), *options, "--json", "--backup-command"]

    def __call__(self, command: str, *words: object, **changed: object) -> Result:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = cli.main(self.words(command, *words, **changed))
        return Result(code, json.loads(out.getvalue()))

    def spawn(self, command: str, *words: object, **changed: object) -> "subprocess.Popen[str]":
        """In a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "db_status", *self.words(command, *words, **changed)],
            env=os.environ | {"PYTHONPATH": str(FILES)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
