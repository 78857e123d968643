"""Refused before anything changes: one screen that says what, where, and what to do next."""

from __future__ import annotations

from pathlib import Path

import pytest
from brainer import psql
from controller import Run, play, slow
from sides import MIGRATION, SHORT, container, on_sqlite, reset
from testinfra.host import Host

SOURCES = "/root/faults/sources"


@pytest.fixture(scope="module", autouse=True)
def before(host: Host) -> str:
    """The app on SQLite, and nothing in the target."""
    reset(host)
    return container(host)


def refused(run: Run, *words: str) -> None:
    assert run.rc == 2, "ansible's own: a task failed"
    assert run.changed == 0
    for word in words:
        assert word in run.failure
    assert len(run.failure) < 2500, "one screen"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("orphan", ("parts", "course_id", "99", "8")),
        ("nul", ("courses.title", "[id=3]", "NUL")),
        pytest.param("text", ("is not", "SQLite", "text.db"), marks=slow),
        ("torn", ("damaged", "torn.db")),
        ("link", ("is a link", f"set migration_source to {SOURCES}/nul.db")),
        pytest.param("missing", ("does not exist", "missing.db"), marks=slow),
    ],
)
def test_a_source_that_is_no_good(host: Host, name: str, words: tuple[str, ...]) -> None:
    path = f"{SOURCES}/{name}.db"
    listing = f"ls -lA --full-time {SOURCES}; cat {SOURCES}/* | sha256sum"
    as_it_was = host.check_output(listing)
    refused(play("migrate.yml", "-e", f"migration_source={path}"), *words)
    assert host.check_output(listing) == as_it_was


def test_what_a_mapping_resolves_is_no_refusal(tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.yml"
    mapping.write_text("tables: {courses: {columns: {title: {nul: strip}}}}\n")
    run = play(
        "migrate.yml", "--tags", "preflight",
        "-e", f"migration_source={SOURCES}/nul.db", "-e", f"migration_mapping={mapping}",
    )  # fmt: skip
    assert run.rc == 0 and run.changed == 0
    assert "NUL characters are taken out" in run.output


def test_a_disk_that_is_too_small() -> None:
    run = play("migrate.yml", "-e", "migration_target_disk=/root/faults/small/docker")
    refused(run, "disk is too small", "MB needed", "MB free", "/root/faults/small")


@slow
def test_a_wrong_password() -> None:
    url = "postgresql://brainer:wr0ng-pass@127.0.0.1:5432/brainer"
    run = play("migrate.yml", "-e", f"migration_target={url}", *SHORT)
    refused(run, "password is wrong", "brainer@127.0.0.1:5432/brainer")
    assert "wr0ng-pass" not in run.output


@slow
def test_a_server_that_is_not_there() -> None:
    url = "postgresql://brainer@127.0.0.1:5999/brainer"
    refused(play("migrate.yml", "-e", f"migration_target={url}", *SHORT), "nothing listens", "5999")


@slow
def test_a_host_whose_name_nobody_knows() -> None:
    url = "postgresql://brainer@db.invalid/brainer"
    refused(
        play("migrate.yml", "-e", f"migration_target={url}", *SHORT),
        "host name is unknown",
        "db.invalid",
    )


def test_the_app_never_noticed(host: Host, before: str) -> None:
    on_sqlite(host, untouched=True)
    assert container(host) == before
    assert not host.file(MIGRATION).exists, "nothing was begun"
    assert (
        psql(host, "SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'migrate_db')")
        == "0"
    )
    assert host.check_output("find /tmp /var/tmp -name 'toolkit*' -o -name 'migrate*'") == ""
