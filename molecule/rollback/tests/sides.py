"""The two healthy sides on which every run has to end, and nothing between them."""

from __future__ import annotations

import json

from brainer import answers, psql, written
from controller import Run, finish, play, start
from testinfra.host import Host

MIGRATION = "/opt/brainer-db/migration"
FILE = "/opt/brainer/data/brainer.db"
BEFORE = "/root/faults"
TARGET = "postgresql://brainer@127.0.0.1/brainer?passfile=/opt/brainer-db/postgres/secrets/pgpass"
YES = ("-e", "rollback_confirm=true")
LOSS = (*YES, "-e", "rollback_accept_loss=true")
#: Converge has provisioned the server; to do it each time again would only take time.
SHORT = ("--skip-tags", "docker,postgres,toolkit,backup,monitoring,tuning")


def migrated(host: Host) -> Run:
    """migrate.yml once more, to its proved end."""
    told = answers(host)
    run = play("migrate.yml", *SHORT)
    assert run.rc == 0, run.failure
    on_postgresql(host, told)
    return run


def written_meanwhile(host: Host, database: str, *words: str) -> tuple[Run, str]:
    """Run rollback.yml, and write once the app answers on ``database``; what it answers then."""
    with start("rollback.yml", *words) as process:
        asked = "curl -sS http://127.0.0.1:8000/health | grep -q %s"
        host.check_output(
            f"for i in $(seq 900); do {asked} && exit; sleep 0.2; done; exit 1", database
        )
        told = written(host)
        return finish(process), told


def again(host: Host) -> None:
    """Back on PostgreSQL, quickly."""
    host.check_output("sh /root/faults/again.sh 2>&1")


def _healthy(host: Host, database: str, told: str) -> None:
    health = json.loads(host.check_output("curl -sS http://127.0.0.1:8000/health"))
    assert health == {"status": "ok", "database": database}
    # as text: to Python 1, 1.0 and True are equal
    assert answers(host) == told
    names = host.check_output("docker ps --all --format '{{ .Names }}'").split()
    assert set(names) <= {"brainer-backend-1", "brainer-postgres"}, "no other container is left"
    for left in ("lock.json", "rollback.json", "env.before", "env.postgres"):
        assert not host.file(f"{MIGRATION}/{left}").exists, left
    assert host.check_output("ls -A /opt/brainer/data") == "brainer.db"
    assert host.check_output("ls -A %s/work", MIGRATION) == ""
    gone = "for i in $(seq 50); do pgrep -f 'outage.jso[n]' || exit 0; sleep 0.2; done; exit 1"
    assert host.run(gone).rc == 0, "nobody asks the app any more"


def on_sqlite(host: Host, told: str, server: bool = True) -> None:
    """The app runs on SQLite, answers what it is ``told``, and writes; PostgreSQL is read-only for it."""
    _healthy(host, "sqlite", told)
    assert host.run(f"cmp /opt/brainer/.env {BEFORE}/.env").rc == 0
    form = "stat --format '%%U:%%G %%a' %s"
    for path, before in (("/opt/brainer/.env", ".env"), (FILE, "brainer.db")):
        assert host.check_output(form, path) == host.check_output(form, f"{BEFORE}/{before}")
    assert host.check_output("python3 -c %s", f"""if True:
        import sqlite3
        c = sqlite3.connect("file:{FILE}?mode=ro", uri=True)
        print(c.execute("PRAGMA integrity_check").fetchall(), c.execute("PRAGMA foreign_key_check").fetchall())
    """) == "[('ok',)] []"  # fmt: skip
    if server:
        held(host)


def held(host: Host) -> None:
    """Nobody of the app's can write to PostgreSQL."""
    assert psql(host, "SELECT held, opened_at IS NULL FROM migrate_db.state") == "t|t"
    delete = "docker exec brainer-postgres psql -U brainer -d brainer -c 'DELETE FROM courses'"
    refused = host.run(delete)
    assert refused.rc != 0 and "read-only" in refused.stderr


def on_postgresql(host: Host, told: str) -> None:
    """The app lives on PostgreSQL with all it had, and SQLite is history."""
    _healthy(host, "postgresql", told)
    assert psql(host, "SELECT held, opened_at IS NOT NULL FROM migrate_db.state") == "f|t"
    assert host.file(FILE).mode & 0o222 == 0
