"""One thing that is wrong, as the operator needs it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from db_status.seen import Crossed

#: What `-e doctor_fix=` takes; tasks of that name in role doctor, or `db_doctor mend`.
FIXES = (
    "start_docker", "start_server", "database", "password", "env_url", "start_app", "restart_app",
    "types", "sequences", "collation", "lock",
)  # fmt: skip


#: Commands that several findings share.
SITE = "ansible-playbook playbooks/site.yml"
POSTGRES = f"{SITE} --tags postgres"


@dataclass(frozen=True)
class Finding:
    """A cause.

    Args:
        name: one word for it.
        cause: one sentence.
        evidence: what was seen.
        fix: the name for ``-e doctor_fix=``, or empty.
        command: what mends it where there is no such name, or before it.
        by_hand: the same on the server, without a controller; may be empty.
        because: it is a consequence, and not told, when one of these was found.
    """

    name: str
    cause: str
    evidence: tuple[str, ...]
    fix: str = ""
    command: str = ""
    by_hand: str = ""
    because: tuple[str, ...] = ()

    @property
    def next(self) -> str:
        """The exact command."""
        if self.fix:
            return f"ansible-playbook playbooks/doctor.yml -e doctor_fix={self.fix}"
        return self.command

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {**asdict(self), "next": self.next}


Findings = Iterator[Finding]
Crosseds = list[Crossed]
