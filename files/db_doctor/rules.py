"""What is wrong, judged from one look: the outermost first, causes without their consequences.

A function of what was seen, nothing else. Each rule knows one part, and names what it is a consequence of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from db_status import limits
from db_status.options import Options as Limits
from db_status.text import size

from db_doctor import at_app, at_data, at_server
from db_doctor.facts import Facts
from db_doctor.finding import Crosseds, Finding, Findings
from db_doctor.options import Options


def judge(facts: Facts, options: Options, bounds: Limits) -> list[Finding]:
    """The causes, in the order in which to mend them."""
    crossed = limits.judge(facts.seen, bounds)
    found = [one for rule in _RULES for one in rule(facts, options, crossed)]
    names = {one.name for one in found}
    return [one for one in found if not names & set(one.because)]


def advice(facts: Facts) -> list[str]:
    """What the kernel could do better; nothing is broken."""
    memory, kernel, found = facts.seen.memory, facts.kernel, []
    if kernel.get("overcommit_memory") == 1:
        found.append(
            "vm.overcommit_memory is 1: the kernel promises memory that it hasn't, and kills for it later."
            " sysctl -w vm.overcommit_memory=0, and the same in /etc/sysctl.d"
        )
    if memory and not memory["swap"] and memory["bytes"] < 4 << 30:
        found.append(
            f"no swap beside {size(memory['bytes'])} of memory: a short peak is a kill."
            " fallocate -l 1G /swapfile && chmod 600 /swapfile && mkswap /swapfile && swapon /swapfile,"
            " and a line in /etc/fstab"
        )
    if memory.get("swap") and kernel.get("swappiness", 0) > 60:
        found.append(
            f"vm.swappiness is {kernel['swappiness']}: the server's memory is swapped out for file caches."
            " sysctl -w vm.swappiness=10, and the same in /etc/sysctl.d"
        )
    return found


_RULES: Sequence[Callable[[Facts, Options, Crosseds], Findings]] = (
    at_server.docker, at_server.disk, at_server.oom, at_server.server, at_server.port,
    at_app.network, at_app.url, at_app.roles, at_app.password, at_app.app,
    at_data.migration, at_data.contents, at_data.types, at_data.sequences,
    at_server.collation, at_server.clock,
)  # fmt: skip
