"""What was run, and how it ended: one JSON object a line. A start without an end was killed."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg_tools.files import publish

from db_backup import manifest

_KEEP = 1000


@dataclass(frozen=True)
class Run:
    """One run of a command."""

    id: str
    command: str
    started: str
    ended: str = ""
    ok: bool = False
    note: str = ""
    killed: bool = False


class History:
    """A file that is only appended to, and cut now and then."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "runs.jsonl"

    def start(self, command: str) -> str:
        """Note a run; its id is for ``end``."""
        id_ = secrets.token_hex(4)
        self._append({"id": id_, "command": command, "at": manifest.iso(manifest.now())})
        return id_

    def end(self, id_: str, ok: bool, note: str) -> None:
        """Note how it ended."""
        self._append({"id": id_, "end": manifest.iso(manifest.now()), "ok": ok, "note": note})

    def runs(self) -> list[Run]:
        """All that is remembered, the oldest first."""
        found: dict[str, Run] = {}
        for entry in self._entries():
            id_ = str(entry.get("id"))
            if "command" in entry:
                found[id_] = Run(id_, str(entry["command"]), str(entry["at"]))
            elif id_ in found:
                run = found[id_]
                found[id_] = Run(
                    id_, run.command, run.started, str(entry.get("end")),
                    bool(entry.get("ok")), str(entry.get("note")),
                )  # fmt: skip
        return list(found.values())

    def _entries(self) -> list[dict[str, Any]]:
        entries = []
        try:
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:  # a power cut may tear the last one
                continue
            if isinstance(entry, dict):
                entries.append(entry)
        return entries

    def _append(self, entry: dict[str, object]) -> None:
        """A full disk must not be in the way of the alarm about it."""
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with open(handle, "a", encoding="utf-8") as file:
                file.write(
                    "\n" * (file.tell() > 0 and not self._ends_well()) + json.dumps(entry) + "\n"
                )
                file.flush()
                os.fsync(file.fileno())
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
            if len(lines) > 2 * _KEEP:
                publish(self._path, "\n".join(lines[-_KEEP:]) + "\n")
        except OSError:
            return

    def _ends_well(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"
