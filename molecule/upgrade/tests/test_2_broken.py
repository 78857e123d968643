"""Something is broken, or killed, on purpose: one healthy side, never two that can be written to."""

from __future__ import annotations

import pytest
from brainer import answers, psql, written
from controller import kill_at, play, slow
from servers import DATA, NEW, OLD, PLACE, UNDONE, on_new, on_old, one_reached, upgrade
from testinfra.host import Host

#: In the order of the run; the first of each name.
POINTS = [
    "upgrade : Dump and prove",
    "upgrade : Restore and prove",
    "upgrade : Note how far it is",
    "backend : Stop the app",
    "upgrade : A directory for what was compared",
    "postgres : The app's role\\]",
    "postgres : Log in as the app does",
    "upgrade : Remember that",
    "monitoring : .*",
]


@slow
@pytest.mark.parametrize("task", POINTS)
def test_killed_and_run_again(host: Host, task: str) -> None:
    told = written(host)
    kill_at(task, "upgrade.yml", *NEW)
    one_reached(host)
    if host.file(f"{PLACE}/upgrade.json").exists:
        for playbook in ("site.yml", "migrate.yml"):
            refused = play(playbook, *NEW, "--skip-tags", "docker")
            assert refused.rc == 2 and refused.changed == 0, refused.output
            assert "upgrade.yml" in refused.failure, refused.failure
    run = upgrade(*NEW)
    assert run.rc == 0, run.failure
    on_new(host, told)
    undone = upgrade(*UNDONE)
    assert undone.rc == 0 and "nothing was written since" in undone.told, undone.failure
    on_old(host, told)


@slow
def test_killed_while_it_goes_back(host: Host) -> None:
    told = written(host)
    assert upgrade(*NEW).rc == 0
    for task in ("upgrade : Note how far it is", "upgrade : What was compared with"):
        kill_at(task, "upgrade.yml", *UNDONE)
    one_reached(host)
    run = upgrade(*UNDONE)
    assert run.rc == 0, run.failure
    on_old(host, told)


@slow
def test_a_rehearsal_leaves_nothing(host: Host) -> None:
    told = answers(host)
    run = upgrade(*NEW, "-e", "upgrade_rehearse=true")
    assert run.rc == 0 and "REHEARSED: PostgreSQL 17 takes all of it" in run.told, run.failure
    on_old(host, told)


def kept(host: Host) -> None:
    """The new volume is there, and is not taken for one of a rehearsal; then it goes."""
    refused = upgrade(*NEW)
    assert refused.rc == 2 and refused.changed == 0, refused.failure
    assert f"docker volume rm {DATA}-17" in refused.failure
    host.check_output(f"docker volume rm {DATA}-17 && rm -r {PLACE}/etc-17")


@slow
def test_somebody_else_writes_before_the_app_is_on_it(host: Host) -> None:
    """A worker, say: it is stopped by nobody."""
    told = written(host)
    kill_at("postgres : Log in as the app does", "upgrade.yml", *NEW)
    psql(host, "CREATE TABLE job AS SELECT 1")
    run = upgrade(*NEW)
    assert run.rc == 2 and "something was written since" in run.failure, run.failure
    assert psql(host, "SHOW server_version_num").startswith("17")
    run = upgrade(*OLD, "-e", "upgrade_accept_loss=true")
    assert run.rc == 0 and f"KEPT: the volume {DATA}-17" in run.told, run.failure
    kept(host)
    on_old(host, told)


def broken(host: Host, script: str) -> tuple[str, ...]:
    """An image of 17 whose entrypoint begins with a script."""
    host.check_output(
        "mkdir -p /root/broken && cd /root/broken && printf '%%s\\n' '#!/bin/bash' %s"
        " 'exec docker-entrypoint.sh \"$@\"' >entry && chmod 755 entry"
        " && printf 'FROM postgres:17-trixie\\nCOPY entry /entry\\nENTRYPOINT [\"/entry\"]\\n' >Dockerfile"
        " && docker pull --quiet postgres:17-trixie && docker build --quiet --tag postgres:17-broken .",
        script,
    )
    return ("-e", "postgres_image=postgres:17-broken", "-e", "postgres_healthy_timeout=20")


@slow
def test_an_image_that_does_not_start_in_the_end(host: Host) -> None:
    """It does where nobody else reaches it: so only the very last start fails."""
    told = written(host)
    run = upgrade(*broken(host, "[ ! -e /sys/class/net/eth0 ] || exit 1"))
    assert run.rc == 2 and "PostgreSQL 15 runs again with all it had" in run.failure, run.failure
    on_old(host, told)


@slow
def test_an_image_that_never_starts(host: Host) -> None:
    told = written(host)
    run = upgrade(*broken(host, "exit 1"))
    assert run.rc == 2 and "were not touched" in run.failure, run.failure
    on_old(host, told)


@slow
def test_a_setting_that_the_new_major_does_not_know(host: Host) -> None:
    told = written(host)
    run = upgrade(*NEW, "-e", '{"postgres_settings": {"old_snapshot_threshold": "60min"}}')
    assert run.rc == 2 and "old_snapshot_threshold" in run.failure, run.failure
    on_old(host, told)


@slow
def test_a_tablespace(host: Host) -> None:
    # of a directory the server wants to be the owner
    host.check_output("docker exec --user postgres brainer-postgres mkdir /tmp/elsewhere")
    psql(host, "CREATE TABLESPACE elsewhere LOCATION '/tmp/elsewhere'")
    run = upgrade(*NEW)
    assert run.rc == 2 and run.changed == 0 and "tablespaces lie outside" in run.failure
    psql(host, "DROP TABLESPACE elsewhere")


@slow
class TestConfirmed:
    """For good, after a proved backup."""

    def test_the_former_side_goes(self, host: Host) -> None:
        told = written(host)
        assert upgrade(*NEW).rc == 0
        run = upgrade(*NEW, "-e", "upgrade_state=confirmed")
        assert run.rc == 0 and "CONFIRMED" in run.told, run.failure
        named = host.check_output("docker ps --all --format '{{ .Names }}'").split()
        assert sorted(named) == ["brainer-backend-1", "brainer-postgres"]
        volumes = host.check_output("docker volume ls --quiet --filter name=brainer-postgres")
        assert volumes == "brainer-postgres-data-17"
        assert written(host) != told

    def test_again_it_changes_nothing_and_there_is_no_way_back(self, host: Host) -> None:
        for state, word in (("confirmed", "ALREADY CONFIRMED"), ("undone", "NOTHING TO UNDO")):
            run = upgrade(*NEW, "-e", f"upgrade_state={state}")
            assert run.rc == 0 and run.changed == 0 and word in run.told
        site = play("site.yml", *NEW)
        assert site.rc == 0 and site.changed == 0
