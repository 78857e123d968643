"""What can't be broken on a server in a container: the machine's clock, and the kernel's memory."""

from db_doctor import rules
from db_doctor.facts import Facts
from db_doctor.options import Options
from db_status.options import Options as Limits
from db_status.seen import Seen


def facts() -> Facts:
    return Facts(seen=Seen(at="2026-11-23T12:00:00Z"), engine="it is not running")


def test_a_clock_that_nobody_keeps() -> None:
    seen = facts()
    seen.clock = {"skew": 0.5, "synchronised": False}
    assert [one.name for one in rules.judge(seen, Options(), Limits())] == ["docker", "clock"]
    seen.clock["synchronised"] = True
    assert [one.name for one in rules.judge(seen, Options(), Limits())] == ["docker"]


def test_advice_is_for_what_the_kernel_does() -> None:
    seen = facts()
    seen.kernel = {"overcommit_memory": 0, "swappiness": 60}
    seen.seen.memory = {
        "bytes": 2 << 30,
        "available": 1 << 30,
        "swap": 1 << 30,
        "swap_free": 1 << 30,
    }
    assert rules.advice(seen) == []
    seen.kernel = {"overcommit_memory": 1, "swappiness": 100}
    assert [line.split()[0] for line in rules.advice(seen)] == [
        "vm.overcommit_memory",
        "vm.swappiness",
    ]
    seen.seen.memory["swap"] = 0
    assert "no swap" in rules.advice(seen)[1]
