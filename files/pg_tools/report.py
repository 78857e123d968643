"""What a command of ours has to say at its end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from pg_tools.errors import Exit


@dataclass
class Report:
    """What a command has to say; ``lines`` for a person, ``data`` for a machine."""

    command: str
    verdict: str = "failed"
    exit_code: int = Exit.REFUSED
    changed: bool = False
    lines: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    error: list[str] = field(default_factory=list)

    def done(self, verdict: str, changed: bool = False) -> None:
        """It went well."""
        self.verdict, self.changed, self.exit_code = verdict, changed, Exit.DONE

    def as_dict(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        found = asdict(self)
        return {**found.pop("data"), **found}
