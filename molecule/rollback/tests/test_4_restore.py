"""restore.yml round an app that lives on the database: stopped, restored, started; and undone."""

from __future__ import annotations

import re

import pytest
from brainer import answers, written
from controller import kill_at, play, slow
from sides import FILE, LOSS, SHORT, YES, again, on_postgresql, written_meanwhile
from testinfra.host import Host


@pytest.fixture(scope="module")
def told(host: Host) -> str:
    """What the API answered when the newest backup was taken."""
    host.check_output("db_backup backup --quiet")
    return answers(host)


def test_it_is_refused_before_the_app_is_stopped(host: Host, told: str) -> None:
    run = play("restore.yml", "-e", "restore_from=latest", *SHORT)
    assert run.rc == 2 and run.changed == 0 and "backup_replace=true" in run.failure
    on_postgresql(host, told)


def test_the_newest_and_back(host: Host, told: str) -> None:
    later = written(host)
    run = play("restore.yml", "-e", "restore_from=latest", "-e", "backup_replace=true", *SHORT)
    assert run.rc == 0 and "RESTORED" in run.output, run.failure
    on_postgresql(host, told)
    assert play("restore.yml", "-e", "restore_undo=true", *SHORT).rc == 0
    on_postgresql(host, later)
    host.check_output("db_backup restore --forget")


@slow
def test_a_plain_dump_and_one_that_was_cut_off(host: Host) -> None:
    told = answers(host)
    host.check_output("docker exec brainer-postgres pg_dump -U brainer brainer >/root/backup.sql")
    host.check_output("head -c 9000 /root/backup.sql >/root/cut.sql")
    later = written(host)
    run = play("restore.yml", "-e", "restore_from=/root/cut.sql", "-e", "backup_replace=true", *SHORT)  # fmt: skip
    assert run.rc == 2 and "cut off" in run.failure
    on_postgresql(host, later)
    run = play("restore.yml", "-e", "restore_from=/root/backup.sql", "-e", "backup_replace=true", *SHORT)  # fmt: skip
    assert run.rc == 0, run.failure
    on_postgresql(host, told)
    host.check_output("db_backup restore --forget")


class TestCode:
    """A bad image is deployed, and the one before comes back."""

    def test_the_image_that_ran_before(self, host: Host) -> None:
        told = answers(host)
        assert play("site.yml", *SHORT).rc == 0, "remembers what runs"
        good = host.check_output("docker inspect --format '{{ .Image }}' brainer-backend-1")
        host.check_output(
            "cd /opt/brainer && printf 'FROM brainer-backend:1.0.0\\nENTRYPOINT [\"false\"]\\n'"
            " | docker build --quiet --tag brainer-backend:1.0.0 - && docker compose up --detach"
        )
        looked = play("rollback.yml", "--tags", "assess")
        assert "NOT " in looked.output and "code OPEN" in looked.told
        run = play("rollback.yml", "-e", "rollback_image=previous", "-e", "rollback_confirm=true")
        assert run.rc == 0 and "ROLLED BACK (code)" in run.output, run.failure
        assert host.check_output("docker inspect --format '{{ .Image }}' brainer-backend-1") == good
        on_postgresql(host, told)


class TestSideBySide:
    """By DB_TYPE alone, while both sides are the same."""

    @slow
    def test_to_sqlite_and_back(self, host: Host) -> None:
        told = answers(host)
        assert play("rollback.yml", *YES).rc == 0
        back = play("rollback.yml", "-e", "rollback_side=postgres", *YES)
        assert back.rc == 0 and "CHANGED SIDES" in back.output, back.failure
        on_postgresql(host, told)
        assert play("rollback.yml", "-e", "rollback_side=sqlite", *YES).rc == 0
        _, url = host.file("/opt/brainer/.env").content_string.rsplit("\n", 2)[:2]
        assert url.startswith("DATABASE_URL=postgresql://"), "DB_TYPE alone"
        assert answers(host) == told
        again(host)

    @slow
    def test_killed_it_is_finished_in_its_own_direction(self, host: Host) -> None:
        """Not the other way, over the rows that only SQLite has."""
        assert play("rollback.yml", *YES).rc == 0
        on_postgres = answers(host)
        written(host)
        only_there = host.check_output("sha256sum <%s", FILE)
        kill_at(
            "backend : Switch the database", "rollback.yml", "-e", "rollback_side=postgres", *LOSS
        )
        run = play("rollback.yml", *YES)
        assert run.rc == 0 and "CHANGED SIDES: the app runs on PostgreSQL" in run.told, run.failure
        assert host.check_output("sha256sum <%s", FILE) == only_there
        on_postgresql(host, on_postgres)

    @slow
    def test_a_side_that_was_written_to_is_not_left(self, host: Host) -> None:
        """Users are served before anybody knows that the app is not healthy."""
        assert play("rollback.yml", *YES).rc == 0
        sick = ("-e", "backend_health_path=/nowhere", "-e", "backend_health_timeout=15")
        words = ("-e", "rollback_side=postgres", *YES, *sick)
        run, told = written_meanwhile(host, '"postgresql"', *words)
        assert run.rc == 2 and "has written there already" in run.failure
        on_postgresql(host, told)

    def test_a_side_that_is_behind_is_refused(self, host: Host) -> None:
        told = written(host)
        run = play("rollback.yml", "-e", "rollback_side=sqlite", *YES)
        assert run.rc == 2 and "would lose on SQLite" in run.failure
        assert re.search(r"courses: 0 rows only in SQLite, [1-9]\d* only in Post", run.failure)
        on_postgresql(host, told)
