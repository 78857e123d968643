"""What can't be broken on a server in a container: the machine's clock, and the kernel's memory."""

import json

import pytest
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


def test_of_a_server_elsewhere_the_cause_is_told_and_not_that_the_app_is_down() -> None:
    seen = Facts(seen=Seen(at="2026-11-23T12:00:00Z"))
    seen.app.there, seen.app.kind, seen.app.health = True, "postgres", "no answer"
    seen.app.url = "postgresql://b:secret@/x?host=db1,db2&port=5432,5432"
    problem = {"what": "nothing listens there", "said": "refused\nrefused", "next": "start it"}
    (found,) = rules.judge(seen, Options(container="", elsewhere=(json.dumps(problem),)), Limits())
    assert (found.name, found.evidence) == ("server_elsewhere", ("refused", "refused"))
    assert "nothing listens there" in found.cause and found.next == "start it"
    assert [one.name for one in rules.judge(seen, Options(container=""), Limits())] == ["app_down"]


@pytest.mark.parametrize(
    ("state", "started", "restarts", "name"),
    [
        ("restarting", "11:59:58", 0, "app_restarting"),
        ("running", "11:59:58", 2, "app_restarting"),
        ("running", "11:59:58", 0, "app_sick"),
        ("running", "11:50:00", 2, "app_sick"),
        ("exited", "11:59:58", 2, "app_down"),
    ],
)
def test_an_app_that_takes_seconds_to_fail_is_told_from_a_sick_one(
    state: str, started: str, restarts: int, name: str
) -> None:
    seen = Facts(seen=Seen(at="2026-11-23T12:00:00Z"))
    seen.app.there, seen.app.health = True, "no answer"
    if state == "running":
        seen.app.running_url, seen.app.running_kind = seen.app.url, seen.app.kind
    at = f"2026-11-23T{started}.123456789Z"
    status = {"Status": state, "Running": state != "exited", "StartedAt": at, "ExitCode": 0}
    seen.app.containers = [{"Name": "/app", "State": status, "RestartCount": restarts}]
    (found,) = rules.judge(seen, Options(container=""), Limits())
    assert found.name == name


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
