"""Something is broken, on purpose: still back, or refused with the next command."""

from __future__ import annotations

import re
import time

from brainer import answers, psql, written
from controller import play, slow
from sides import (
    FILE,
    LOSS,
    MIGRATION,
    YES,
    again,
    migrated,
    on_postgresql,
    on_sqlite,
    written_meanwhile,
)
from testinfra.host import Host


def test_a_server_that_was_stopped_and_a_file_that_somebody_changed(host: Host) -> None:
    told = written(host)
    host.check_output("chmod u+w %s", FILE)
    delete = f"import sqlite3; c = sqlite3.connect({FILE!r}); c.execute('DELETE FROM exercises')"
    host.check_output("python3 -c %s", f"{delete}; c.commit()")
    host.check_output("touch %s-wal && docker stop brainer-postgres", FILE)
    looked = play("rollback.yml", "--tags", "assess")
    assert looked.rc == 0 and looked.changed == 0
    for word in (
        "DOWN: the container brainer-postgres is exited",
        "is not the file that the migration left",
        "lossless OPEN",
    ):
        assert word in looked.told
    run = play("rollback.yml", *YES)
    assert run.rc == 0, run.failure
    on_sqlite(host, told)
    (kept,) = re.findall(r"that file is kept in ([\w/.-]+)", run.told)
    assert host.check_output(f"ls {kept}").split() == ["brainer.db", "brainer.db-wal"]
    again(host)


@slow
def test_a_file_that_somebody_deleted(host: Host) -> None:
    told = written(host)
    host.check_output("rm %s", FILE)
    assert play("rollback.yml", *YES).rc == 0
    on_sqlite(host, told)
    again(host)


@slow
def test_an_engine_that_is_down(host: Host) -> None:
    told = answers(host)
    host.check_output("systemctl stop docker.socket docker.service")
    try:
        begun = time.monotonic()
        looked = play("rollback.yml", "--tags", "assess")
        assert looked.rc == 0 and time.monotonic() - begun < 40
        assert "DOWN" in looked.output and "systemctl start docker" in looked.output
        refused = play("rollback.yml", *YES)
        assert refused.rc == 2 and refused.changed == 0
        assert "Docker engine" in refused.failure and "Next:" in refused.failure
    finally:
        host.check_output("systemctl start docker")
    host.check_output("/root/faults/up.sh")
    on_postgresql(host, told)


@slow
def test_an_image_that_is_gone(host: Host) -> None:
    told = answers(host)
    host.check_output("docker tag brainer-backend:1.0.0 kept:1 && docker rmi -f brainer-backend:1.0.0")  # fmt: skip
    try:
        run = play("rollback.yml", *YES)
        assert run.rc == 2 and run.changed == 0 and "brainer-backend:1.0.0" in run.failure
    finally:
        host.check_output("docker tag kept:1 brainer-backend:1.0.0 && docker rmi kept:1")
    on_postgresql(host, told)


@slow
def test_a_password_that_somebody_changed(host: Host) -> None:
    told = answers(host)
    psql(host, "ALTER ROLE brainer PASSWORD 'another'")
    run = play("rollback.yml", *YES)
    assert run.rc == 2 and run.changed == 0
    assert "password" in run.failure and "site.yml" in run.failure
    assert play("site.yml", "--tags", "postgres").rc == 0
    on_postgresql(host, told)


@slow
def test_a_disk_that_is_full(host: Host) -> None:
    """Where the SQLite file is; PostgreSQL has another one."""
    told = written(host)
    host.check_output(
        "cd /opt/brainer && docker compose stop && mv data data.real && mkdir data"
        # room for the file and a half; a rollback makes another one beside it
        " && mount -t tmpfs -o size=$(($(stat --format %s data.real/brainer.db) * 3 / 2)) tmpfs data"
        " && cp -a data.real/. data/"
        " && chown --reference data.real data && /root/faults/up.sh"
    )
    try:
        run = play("rollback.yml", *YES)
        assert run.rc == 2 and run.changed == 0 and "too full" in run.failure
        on_postgresql(host, told)
    finally:
        host.check_output(
            "cd /opt/brainer && docker compose stop && umount data && rmdir data && mv data.real data"
            " && /root/faults/up.sh"
        )


@slow
def test_a_program_that_is_killed_while_the_app_is_down(host: Host) -> None:
    from concurrent.futures import ThreadPoolExecutor

    told = written(host)
    hunt = "for i in $(seq 6000); do pkill -KILL -f '[m]igrate_db reverse.*/runs/' && exit; sleep 0.02; done; exit 1"
    with ThreadPoolExecutor() as pool:
        killed = pool.submit(host.check_output, hunt)
        run = play("rollback.yml", *YES)
        killed.result()
    assert run.rc == 2 and "runs on PostgreSQL again" in run.failure
    on_postgresql(host, told)


@slow
def test_an_app_that_does_not_start_on_sqlite(host: Host) -> None:
    told = written(host)
    override = "/opt/brainer/docker-compose.override.yml"
    host.check_output(
        "printf 'services: {backend: {environment: {SQLITE_URL: \"sqlite:////nowhere/x.db\"}}}' >%s", override,
    )  # fmt: skip
    try:
        run = play("rollback.yml", *YES, "-e", "backend_health_timeout=12")
    finally:
        host.check_output("rm %s", override)
    assert run.rc == 2 and "runs on PostgreSQL again" in run.failure
    host.check_output("/root/faults/up.sh")
    on_postgresql(host, told)


@slow
def test_an_app_that_writes_on_sqlite_and_is_not_healthy_stays_there(host: Host) -> None:
    """Users are served before anybody knows; what they wrote is only there."""
    written(host)
    sick = ("-e", "backend_health_path=/nowhere", "-e", "backend_health_timeout=15")
    run, told = written_meanwhile(host, '"sqlite"', *YES, *sick)
    assert run.rc == 2 and "has written there already" in run.failure
    # it was started again, and may not listen yet
    host.check_output("/root/faults/up.sh")
    assert answers(host) == told
    assert play("rollback.yml", *YES).rc == 0
    on_sqlite(host, told)
    migrated(host)


class TestServerGone:
    """The server and its volume: what the newest backup has."""

    def test_the_way_without_loss_is_closed(self, host: Host) -> None:
        written(host)
        assert play("backup.yml").rc == 0
        # on the server: too long for an argument
        host.check_output("python3 /root/faults/ask.py >/root/faults/answers")
        written(host)
        host.check_output("docker rm -f -v brainer-postgres && docker volume rm brainer-postgres-data")  # fmt: skip
        run = play("rollback.yml", *YES)
        assert run.rc == 2 and run.changed == 0
        for word in ("absent, and so is its volume", "rollback_data=backup"):
            assert word in run.failure

    def test_an_upgrade_that_was_cut_short_closes_every_way(self, host: Host) -> None:
        """The volume of before it may have everything, which a backup has not."""
        host.check_output("touch /opt/brainer-db/postgres/upgrade.json")
        run = play("rollback.yml", "-e", "rollback_data=backup", *LOSS)
        host.check_output("rm /opt/brainer-db/postgres/upgrade.json")
        assert run.rc == 2 and run.changed == 0 and "upgrade.yml" in run.failure
        for word in ("lossless", "backup", "frozen", "code"):
            assert re.search(rf"{word} +closed an upgrade of PostgreSQL was begun", run.told), word

    def test_it_is_back_as_of_the_backup(self, host: Host) -> None:
        run = play("rollback.yml", "-e", "rollback_data=backup", *LOSS)
        assert run.rc == 0, run.failure
        for word in ("LOST: what was written to PostgreSQL after", "the data is that of"):
            assert word in run.told
        on_sqlite(host, host.file("/root/faults/answers").content_string.strip(), server=False)

    def test_migrated_again_into_a_new_server(self, host: Host) -> None:
        told = answers(host)
        run = play("migrate.yml")
        assert run.rc == 0, run.failure
        on_postgresql(host, told)
        assert not host.file(f"{MIGRATION}/lock.json").exists
