"""Which ways back are open, and what a person is told, from every mix of what can be broken."""

from __future__ import annotations

import copy
import itertools
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "roles" / "rollback" / "library"))
import rollback_look

APP: dict[str, Any] = {
    "defined": True,
    "configured_db_type": "postgres",
    "db_type": "postgres",
    "active": True,
    "healthy": True,
    "unwired": [],
    "image": "app:1",
    "env_file": ".env",
}
FOUND: dict[str, Any] = {
    "engine": True,
    "engine_reason": "",
    "server": {"container": "running", "volume": "there", "verdict": "live", "reason": ""},
    "kept": {
        "path": "kept/x.db",
        "there": True,
        "at": "2026-11-23T02:00:00Z",
        "altered": False,
        "bytes": 1,
        "free": 9,
    },
    "image": "sha256:1",
    "images": [],
    "backup": {"set": "x-1", "at": "2026-11-23T03:00:00Z", "age": "1 h", "reason": ""},
    "under_way": {},
    "upgrading": False,
    "switching": False,
    "lock": {},
}


def decide(app: dict[str, Any] | None = None, **found: Any) -> dict[str, Any]:
    whole = copy.deepcopy(FOUND)
    for key, value in found.items():
        whole[key] = whole[key] | value if isinstance(value, dict) else value
    return rollback_look.decide({**APP, **(app or {})}, whole)


def open_ways(told: dict[str, Any]) -> set[str]:
    return {way["way"] for way in told["ways"] if not way["closed"]}


DOWN = {"verdict": "", "reason": "connection refused"}
GONE = DOWN | {"container": "absent", "volume": "absent"}
PASSWORD = {"verdict": "", "reason": "the password is wrong"}
SICK = {"healthy": False}
STOPPED = {"healthy": False, "active": False}
HELD = {"verdict": "loaded"}
SQLITE = {"db_type": "sqlite"}
BEGUN = {"id": "1"}
ALL = {"lossless", "backup", "frozen"}
LOSSY = {"backup", "frozen"}


@pytest.mark.parametrize(
    ("app", "found", "do", "ways", "word"),
    [
        ({}, {}, "", ALL, "nothing need be done"),
        (SICK, {}, "", ALL, "docker compose logs"),
        (SICK, {"server": DOWN | {"container": "exited"}}, "", ALL, "docker start"),
        (SICK, {"server": GONE}, "", LOSSY, "rollback_data=backup"),
        (SICK, {"server": GONE, "backup": {"set": ""}}, "", {"frozen"}, "rollback_data=frozen"),
        ({}, {"server": PASSWORD}, "", LOSSY, "site.yml"),
        (SICK, {"server": PASSWORD}, "", LOSSY, "site.yml"),
        ({}, {"backup": {"at": "2026-11-23T01:00:00Z"}}, "", {"lossless", "frozen"}, "nothing"),
        ({"defined": False}, {"engine": False}, "", set(), "systemctl start docker"),
        ({}, {"image": ""}, "", set(), "nothing need be done"),
        ({}, {"kept": {"altered": True}}, "", set(), "nothing need be done"),
        ({}, {"kept": {"there": False}}, "", set(), "nothing need be done"),
        ({}, {"kept": {"free": 2}}, "", set(), "nothing need be done"),
        ({}, {"upgrading": True}, "", set(), "upgrade.yml"),
        (STOPPED, {"server": GONE, "upgrading": True}, "", set(), "upgrade.yml"),
        (SICK | SQLITE, {"upgrading": True}, "", set(), "upgrade.yml"),
        # the target is a copy that the app may not write to, and no rollback closed it
        ({}, {"server": HELD, "switching": True}, "call_off", LOSSY, "cut short"),
        ({}, {"server": HELD}, "", LOSSY, "nothing need be done"),
        (STOPPED, {"server": HELD, "under_way": BEGUN}, "", ALL, "Run again"),
        (SICK | SQLITE, {"server": HELD, "under_way": BEGUN}, "finish", ALL, "Run again"),
        (SQLITE, {"server": HELD}, "nothing", set(), "runs on SQLite"),
        (SICK | SQLITE, {"server": HELD}, "call_off", set(), "starts it"),
    ],
)
def test_what_is_said(
    app: dict[str, Any], found: dict[str, Any], do: str, ways: set[str], word: str
) -> None:
    told = decide(app, **found)
    assert told["do"] == do
    assert open_ways(told) == ways
    assert word in " ".join(told["next"])


def test_whatever_is_broken_there_is_a_next_command_and_a_reason() -> None:
    mixes = itertools.product(
        [{}, SICK, STOPPED, STOPPED | {"defined": False, "reason": "no engine"}],
        ["postgres", "sqlite"],
        [FOUND["server"], FOUND["server"] | DOWN, FOUND["server"] | GONE, FOUND["server"] | HELD],
        [True, False],
        [{}, BEGUN],
        [True, False],
        [True, False],
    )
    count = 0
    for app, side, server, engine, under_way, switching, upgrading in mixes:
        told = decide(
            {**app, "configured_db_type": side, "db_type": side},
            server=server, engine=engine, under_way=under_way, switching=switching, upgrading=upgrading,
        )  # fmt: skip
        count += 1
        assert told["next"] and all(told["next"])
        assert all(way["closed"] or way["command"] for way in told["ways"])
        if not engine or upgrading:
            assert not open_ways(told)
        # carrying back from a copy that an unfinished migration made would lose what SQLite has
        if server["verdict"] == "loaded" and not under_way:
            assert "lossless" not in open_ways(told)
    assert count == 512


def test_an_empty_server_in_the_place_of_the_one_that_was_lost() -> None:
    """The app is healthy on it, and has nothing."""
    told = decide(server={"verdict": "unknown"})
    assert "restore.yml" in told["next"][1] and "volume lost" in told["next"][0]
    assert "restore.yml" not in str(decide()["next"])


class _Sets:
    """What `db_backup list` says."""

    def __init__(self, *sets: dict[str, Any]) -> None:
        self.sets = sets

    def json(self, *_: str) -> dict[str, Any]:
        each = {"database": "x", "kind": "regular", "taken_at": "2026-11-23T03:00:00Z"}
        return {"sets": [each | one for one in self.sets]}


def test_the_newest_set_that_anybody_wants_back() -> None:
    def chosen(*sets: dict[str, Any]) -> str:
        return str(rollback_look.newest(_Sets(*sets), __file__, "x")["set"])

    whole, empty = {"set": "whole", "rows": 7}, {"set": "empty", "rows": 0}
    assert chosen({"set": "old", "rows": 5}, whole) == "whole"
    assert chosen(whole, {"set": "bad", "rows": 7, "damaged": "bytes"}) == "whole"
    assert chosen(whole, empty) == "whole"
    assert chosen(empty) == "empty"
    assert chosen({"set": "bad", "rows": 7, "damaged": "bytes"}) == ""
