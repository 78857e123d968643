"""The two servers on which every run has to end, and nothing between them."""

from __future__ import annotations

import json

from brainer import answers, psql
from controller import Run, play
from testinfra.host import Host

MIGRATION = "/opt/brainer-db/migration"
PLACE = "/opt/brainer-db/postgres"
DATA = "brainer-postgres-data"
OLD = ("-e", "postgres_image=postgres:15-bookworm")
NEW = ("-e", "postgres_image=postgres:17-trixie")
UNDONE = (*NEW, "-e", "upgrade_state=undone")


def upgrade(*words: str) -> Run:
    """playbooks/upgrade.yml."""
    return play("upgrade.yml", *words)


def values(host: Host) -> str:
    """Every value in the database, and the numbers that come next."""
    dump = "docker exec brainer-postgres pg_dump -U postgres --data-only --inserts brainer"
    return host.check_output(f"{dump} | grep -E '^(INSERT|SELECT pg_catalog.setval)' | sort")


def one_reached(host: Host) -> None:
    """Of all servers one at most can be reached over the network."""
    form = "docker ps --filter name=brainer-postgres --format '{{ .Names }} {{ .Networks }}'"
    reached = [line for line in host.check_output(form).splitlines() if not line.endswith(" none")]
    assert len(reached) <= 1, reached


def _on(host: Host, major: int, told: str, kept: bool) -> None:
    health = json.loads(host.check_output("curl -sS http://127.0.0.1:8000/health"))
    assert health == {"status": "ok", "database": "postgresql"}
    # as text: to Python 1, 1.0 and True are equal
    assert answers(host) == told
    assert psql(host, "SHOW server_version_num").startswith(str(major))
    named = host.check_output("docker ps --all --format '{{ .Names }} {{ .State }}'").splitlines()
    wanted = {"brainer-backend-1 running", "brainer-postgres running"}
    assert set(named) == wanted | ({"brainer-postgres-before exited"} if kept else set())
    for left in (f"{MIGRATION}/lock.json", f"{PLACE}/upgrade.json", "/run/brainer-db/new/.s.PGSQL.5432"):  # fmt: skip
        assert not host.file(left).exists, left
    gone = "for i in $(seq 50); do pgrep -f 'outage.jso[n]' || exit 0; sleep 0.2; done; exit 1"
    assert host.run(gone).rc == 0, "nobody asks the app any more"


def on_old(host: Host, told: str) -> None:
    """PostgreSQL 15 and the app, as if nothing had been."""
    _on(host, 15, told, kept=False)
    assert host.check_output("docker volume ls --quiet --filter name=brainer-postgres") == DATA
    assert host.check_output(f"ls {PLACE}").split() == ["etc", "secrets"]


def on_new(host: Host, told: str) -> None:
    """PostgreSQL 17 and the app; 15 is stopped, and doesn't come by itself."""
    _on(host, 17, told, kept=True)
    form = "docker inspect --format '{{ .HostConfig.RestartPolicy.Name }}' brainer-postgres-before"
    assert host.check_output(form) == "no"
    assert json.loads(host.file(f"{PLACE}/volume.json").content_string)["volume"] == f"{DATA}-17"
