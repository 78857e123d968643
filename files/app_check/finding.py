"""What was found, where, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass

#: An error breaks the app on PostgreSQL; advice is worth a look.
ERROR, ADVICE = "error", "advice"


@dataclass(frozen=True, order=True)
class Finding:
    """One place in the sources; ``line`` is 0 where a whole file, or all of them, is meant."""

    file: str  #: relative to the app's directory; empty for all of it
    line: int
    rule: str  #: a short name, by which it can be accepted
    level: str
    what: str
    instead: str

    @property
    def where(self) -> str:
        """``api/models.py:12``."""
        return f"{self.file or '.'}:{self.line}" if self.line else self.file or "."

    def accepted(self, names: frozenset[str]) -> bool:
        """Whether it was accepted by its rule, or by ``rule:file``."""
        return self.rule in names or f"{self.rule}:{self.file}" in names
