"""Findings: what PostgreSQL would not take as it is, however many there are."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from pg_tools.files import publish

#: Bytes of findings that are kept in memory; the rest lies in a file without a name.
_IN_MEMORY = 1 << 20
#: What no mapping and no quarantine resolves: only the target itself can be changed.
BY_HAND = "no default"
#: Shown to a person for each table, column and kind; the others are counted.
SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """A value, or an object, that PostgreSQL would not take as it is."""

    table: str
    key: str  #: ``id=7``, ``rowid=7``, or empty for a finding about the whole table
    column: str
    value: str  #: a short, printable rendering
    reason: str
    resolve: str  #: what the operator can do
    kind: str = "structure"  #: see ``proposal``, which knows what resolves each
    #: what names the row for the program (``inspection.identity``); None: no single row
    row: int | str | None = None

    def line(self) -> str:
        """One line for a person."""
        place = ".".join(part for part in (self.table, self.column) if part)
        value = f" {self.value}" if self.value else ""
        return f"{place}{f' [{self.key}]' if self.key else ''}{value}: {self.reason}"

    def plain(self) -> dict[str, object]:
        """For JSON; what only the program needs stays out."""
        return {key: value for key, value in asdict(self).items() if key != "row"}


@dataclass
class Findings:
    """All findings of a run, in order; in constant memory."""

    directory: Path | None = None  #: where they lie if they are many; on disk
    #: how many there are of each table, column and kind
    counts: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _shown: list[Finding] = field(default_factory=list)
    _spool: IO[str] | None = None

    def __len__(self) -> int:
        return sum(self.counts.values())

    @property
    def by_hand(self) -> int:
        """How many no mapping helps with."""
        return sum(count for (_, _, kind), count in self.counts.items() if kind == BY_HAND)

    def __iter__(self) -> Iterator[Finding]:
        if self._spool is None:
            return
        self._spool.seek(0)
        for line in self._spool:
            try:
                found = json.loads(line)
            except ValueError:  # the disk was full: what follows is torn, too
                return
            yield Finding(**found)

    def add(self, finding: Finding) -> None:
        """Keep one more; not while somebody iterates."""
        if self._spool is None:
            self._spool = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - lives as long as we do
                _IN_MEMORY,
                "w+",
                encoding="utf-8",
                dir=str(self.directory) if self.directory else None,
            )
        kind = (finding.table, finding.column, finding.kind)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] <= SHOWN:
            self._shown.append(finding)
        self._spool.write(json.dumps(vars(finding)) + "\n")

    def write(self, path: Path) -> None:
        """Write one JSON object a line, aside, then rename it into place, mode 0600."""
        publish(path, (json.dumps(f.plain(), ensure_ascii=False) + "\n" for f in self))

    def short(self) -> Iterator[tuple[Finding, int | None]]:
        """The first of each kind; with the last of these, how many others are left out."""
        shown: dict[tuple[str, str, str], int] = {}
        for finding in self._shown:
            kind = (finding.table, finding.column, finding.kind)
            shown[kind] = shown.get(kind, 0) + 1
            last = shown[kind] == min(SHOWN, self.counts[kind])
            yield finding, self.counts[kind] - shown[kind] if last else None
