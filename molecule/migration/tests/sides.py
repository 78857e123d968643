"""The two healthy sides on which every run has to end, and nothing between them."""

from __future__ import annotations

import json
import time

from brainer import answers, psql
from testinfra.host import Host

MIGRATION = "/opt/brainer-db/migration"
BEFORE = "/root/faults/before"
OVERRIDE = "/opt/brainer/docker-compose.override.yml"
#: Converge has provisioned the server; to do it each time again would only take time.
SHORT = ("--skip-tags", "docker,postgres,toolkit,backup,monitoring,tuning")
#: Where the preflight is not what may go wrong.
SHORTER = ("--skip-tags", f"{SHORT[1]},preflight")


def reset(host: Host, target: str = "") -> None:
    """The app on SQLite, as before the first migration; ``foreign``: the target keeps its tables."""
    host.check_output("/root/faults/reset.sh %s 2>&1", target)


def _healthy(host: Host, database: str) -> None:
    told = json.loads(host.check_output("curl -sS http://127.0.0.1:8000/health"))
    assert told == {"status": "ok", "database": database}
    # as text: to Python 1, 1.0 and True are equal
    assert answers(host) == host.file(f"{BEFORE}/answers").content_string.strip()
    names = host.check_output("docker ps --all --format '{{ .Names }}'").split()
    assert sorted(names) == ["brainer-backend-1", "brainer-postgres"], "no second container is left"
    assert not host.file(f"{MIGRATION}/env.before").exists


def _can_write(host: Host) -> None:
    slug = f"try-{time.time_ns()}"
    made = host.check_output(
        "curl -sSf -H 'Content-Type: application/json' -d %s http://127.0.0.1:8000/api/courses",
        json.dumps({"slug": slug, "title": "Try"}),
    )
    row = json.loads(made)["id"]
    host.check_output(f"curl -sSf -X DELETE http://127.0.0.1:8000/api/courses/{row}")


def on_sqlite(host: Host, untouched: bool = False) -> None:
    """The app runs on SQLite as it did; ``untouched``: it has not even been stopped."""
    _healthy(host, "sqlite")
    assert host.run(f"cmp /opt/brainer/.env {BEFORE}/env").rc == 0
    form = "stat --format '%%U:%%G %%a' %s"
    for path, before in (
        ("/opt/brainer/.env", "env"),
        ("/opt/brainer/data/brainer.db", "brainer.db"),
    ):
        assert host.check_output(form, path) == host.check_output(form, f"{BEFORE}/{before}")
    if untouched:
        assert host.run(f"cmp /opt/brainer/data/brainer.db {BEFORE}/brainer.db").rc == 0
    else:
        _can_write(host)


def on_postgresql(host: Host) -> None:
    """The app lives on PostgreSQL with all it had, and SQLite is history."""
    _healthy(host, "postgresql")
    assert psql(host, "SELECT held, opened_at IS NOT NULL FROM migrate_db.state") == "f|t"
    assert host.file("/opt/brainer/data/brainer.db").mode & 0o222 == 0
    assert host.file(f"{MIGRATION}/kept/brainer.db").mode == 0o400
    assert not host.file(f"{MIGRATION}/lock.json").exists
    _can_write(host)


def container(host: Host) -> str:
    """Which container of the app it is, and since when it runs."""
    form = "{{ .Id }} {{ .State.StartedAt }}"
    return host.check_output("docker inspect --format %s brainer-backend-1", form)


def broken_on_postgresql(host: Host) -> None:
    """On SQLite the app never looks for that host; `reset` mends it."""
    override = {"services": {"backend": {"extra_hosts": ["postgres:127.0.0.1"]}}}
    host.check_output(f"printf %%s %s >{OVERRIDE}", json.dumps(override))
