"""Migrated by converge with variables alone; then it writes, is looked after, and goes back with what it wrote."""

from __future__ import annotations

import json

from controller import play
from testinfra.host import Host

API = "http://127.0.0.1:9090"
FILE = "/var/lib/depot/stock.sqlite3"


def answers(host: Host) -> str:
    """All that the API lists."""
    lists = [f"{API}/v1/{table}?offset=0&count=1000" for table in ("items", "bins")]
    return host.check_output(" && ".join(f"curl -sS --fail '{url}'" for url in lists))


def kind(host: Host) -> str:
    """The database of the container that runs."""
    form = "docker inspect --format '{{ json .Config.Env }}' depot-web-1"
    return dict(word.split("=", 1) for word in json.loads(host.check_output(form)))["DB_TYPE"]


def test_it_lives_on_postgresql(host: Host) -> None:
    assert kind(host) == "postgres"
    found = host.check_output("docker exec depot-db psql -U postgres -d Depot-1 -Atc %s",
        "SELECT (SELECT count(*) FROM items), (SELECT count(*) FROM stock), pg_get_userbyid(datdba)"
        " FROM pg_database WHERE datname = 'Depot-1'")  # fmt: skip
    assert found == "200|200|depot.app"


def test_nothing_of_brainer_is_on_the_server(host: Host) -> None:
    assert set(host.check_output("ls /opt").split()) <= {"containerd", "depot-db"}
    listed = ("ps --all --format '{{ .Names }}'", "volume ls --quiet", "network ls")
    named = "".join(host.check_output(f"docker {words}") for words in listed)
    assert "brainer" not in named, named


def test_it_is_looked_after(host: Host) -> None:
    for playbook in ("doctor.yml", "status.yml", "verify.yml", "backup.yml"):
        run = play(playbook)
        assert run.rc == 0, run.output
    assert play("site.yml").changed == 0


def test_back_with_what_it_wrote(host: Host) -> None:
    body = json.dumps({"sku": "NEW", "name": "Größe ' \\ 脳", "weight": 1 / 3, "price": "9.90"})
    made = json.loads(host.check_output("curl -sS --fail -d %s %s", body, f"{API}/v1/items"))
    assert made["id"] == 201
    told = answers(host)
    run = play("rollback.yml", "-e", "rollback_confirm=true")
    assert run.rc == 0 and "items: 1 rows added" in run.told, run.failure
    assert kind(host) == "sqlite"
    assert answers(host) == told
    count = f"import sqlite3; print(sqlite3.connect('{FILE}').execute('SELECT count(*) FROM items').fetchone()[0])"
    assert host.check_output("python3 -c %s", count) == "201"
