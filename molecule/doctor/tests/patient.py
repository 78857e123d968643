"""The patient: broken on purpose, looked at by the program on the server, and found well again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from testinfra.host import Host

MIGRATION = "/opt/brainer-db/migration"
PROJECT = "/opt/brainer"
ENV = f"{PROJECT}/.env"
TARGET = "postgresql://brainer@127.0.0.1/brainer?passfile=/opt/brainer-db/postgres/secrets/pgpass"
UP = f"cd {PROJECT} && docker compose up -d backend 2>&1"

MODELS = "api.models"


Found = dict[str, dict[str, Any]]


def look(host: Host, **settings: object) -> Found:
    """What the program on the server finds, in its order; without the models, which take seconds to import."""
    words = json.dumps({"models": "", **settings})
    done = host.run("printf %%s %s | db_doctor look --json --config /dev/stdin", words)
    answer = json.loads(done.stdout)
    assert answer["exit_code"] == done.rc
    assert not answer["error"], answer["error"]
    assert answer["exit_code"] == (3 if answer["findings"] else 1 if answer["notes"] else 0)
    return {one["name"]: one for one in answer["findings"]}


def well(host: Host) -> None:
    """Nothing is found, at the latest when everything that was started has come up."""
    deadline = time.monotonic() + 60
    while True:
        said = host.run('echo \'{"models": ""}\' | db_doctor look --config /dev/stdin')
        if said.rc == 0:
            assert said.stdout.startswith("nothing found\n")
            return
        assert time.monotonic() < deadline, said.stdout
        time.sleep(0.5)


def only(host: Host, name: str, evidence: str, **settings: object) -> dict[str, Any]:
    """This is found and nothing else, with this evidence and a command."""
    found = look(host, **settings)
    assert list(found) == [name], found
    one = found[name]
    assert evidence in " | ".join(one["evidence"]), one
    assert one["next"], "each finding says what mends it"
    return one


def by_hand(host: Host, one: dict[str, Any]) -> None:
    """Do what was printed for somebody without a controller."""
    host.check_output(one["by_hand"])
    well(host)


def psql(host: Host, statement: str, database: str = "brainer") -> str:
    return host.check_output(
        "docker exec brainer-postgres psql -X -v ON_ERROR_STOP=1 -U postgres -d %s -Atc %s",
        database, statement,
    ).strip()  # fmt: skip


@contextmanager
def env_file(host: Host, expression: str) -> Iterator[None]:
    """The env file changed by sed; put back at the end."""
    host.check_output(f"cp -a {ENV} /root/env.test && sed -i -E %s {ENV}", expression)
    try:
        assert host.run(f"cmp -s {ENV} /root/env.test").rc == 1, "the expression changed nothing"
        yield
    finally:
        host.check_output(f"cp -a /root/env.test {ENV}")
