"""Questions that may hang: each has a time limit, and no answer is an answer."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """How a command ended; ``code`` is -1 when it didn't, or is not there."""

    code: int
    out: str
    err: str

    @property
    def why(self) -> str:
        """Its complaint, on one line."""
        return " ".join((self.err.strip() or self.out.strip() or "it says nothing").split())


def run(*command: str, stdin: str = "", patience: int = 10, directory: str = "/") -> Said:
    """Run a command; nothing is raised."""
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, errors="replace",
            timeout=patience, check=False, cwd=directory, env={**os.environ, "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Said(-1, "", f"{command[0]} {command[1]}: no answer within {patience} s")
    except OSError as error:
        return Said(-1, "", f"{command[0]}: {error.strerror}")
    return Said(done.returncode, done.stdout, done.stderr)


def inspect(*names: str, patience: int = 10) -> list[Row]:
    """What the engine knows of containers; those that it doesn't know are left out."""
    if not names:
        return []
    said = run("docker", "inspect", "--type=container", *names, patience=patience)
    try:
        found: list[Row] = json.loads(said.out or "[]")
    except ValueError:
        return []
    return found


def health(url: str) -> tuple[bool, str]:
    """Whether the app answers 200, and its words. No proxy: it is on this host."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return (
                answer.status == 200,
                f"{answer.status} {answer.read(300).decode(errors='replace')}",
            )
    except urllib.error.HTTPError as error:
        return False, f"{error.code} {error.read(300).decode(errors='replace')}"
    except OSError as error:
        return False, f"no answer: {getattr(error, 'reason', error)}"
    except Exception as error:  # http.client's: something that doesn't speak HTTP
        return False, f"no HTTP answer: {error!r}"
