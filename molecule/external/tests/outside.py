"""The server of somebody else's, as its owner sees it, and the app's two healthy sides."""

from __future__ import annotations

import json

from testinfra.host import Host

MIGRATION = "/opt/brainer-db/migration"


def sql(host: Host, query: str, database: str = "brainer") -> str:
    """Ask, or change something, as the server's administrator."""
    command = f"psql -U postgres -p 5433 -d {database} -XqAt -v ON_ERROR_STOP=1 -c"
    return host.check_output(f"docker exec outside {command} %s", query)


def answers(host: Host) -> str:
    """All that the API lists."""
    return host.check_output("python3 /root/outside/ask.py")


def on(host: Host, database: str) -> None:
    """The app is healthy there, and nothing of ours runs beside it."""
    told = json.loads(host.check_output("curl -sS http://127.0.0.1:8000/health"))
    assert told == {"status": "ok", "database": database}
    names = host.check_output("docker ps --all --format '{{ .Names }}'").split()
    assert sorted(names) == ["brainer-backend-1", "outside"]
    assert not host.file(f"{MIGRATION}/lock.json").exists


def write(host: Host, slug: str) -> None:
    """A row, through the app."""
    row = json.dumps({"slug": slug, "title": "Try"})
    post = "curl -sSf -H 'Content-Type: application/json' -d %s http://127.0.0.1:8000/api/courses"
    host.check_output(post, row)
