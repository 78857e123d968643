"""Converge has migrated to PostgreSQL 15. Then 17, what works on it, and the way back."""

from __future__ import annotations

import json
import re

import pytest
from brainer import answers, psql, written
from controller import ROOT, play, played
from servers import DATA, NEW, OLD, PLACE, UNDONE, on_new, on_old, upgrade, values
from testinfra.host import Host


def away(told: str) -> float:
    """Seconds that the app did not answer, as the playbook says."""
    (seconds,) = re.findall(r"the app was away for ([0-9.]+) s", told)
    return float(seconds)


def test_another_major_is_refused_with_the_way_to_it(host: Host) -> None:
    run = play("site.yml", *NEW, "--tags", "postgres")
    assert run.rc == 2 and run.changed == 0
    assert "holds a PostgreSQL 15 data directory" in run.failure
    assert "playbooks/upgrade.yml" in run.failure


def test_a_dry_run_says_what_would_be(host: Host) -> None:
    told = written(host)
    run = upgrade(*NEW, "--check")
    assert run.rc == 0 and run.changed == 0
    for word in ("POSTGRESQL 15 -> 17", f"volume {DATA}-17", "MiB free", "upgrade_state=undone"):
        assert word in run.told
    on_old(host, told)


def test_a_disk_that_does_not_hold_it(host: Host) -> None:
    run = upgrade(*NEW, "-e", "upgrade_floor_mb=99999999")
    assert run.rc == 2 and run.changed == 0
    assert re.search(r"\d+ MiB are needed and 99999999 stay free, \d+ MiB are free", run.failure)


def test_a_volume_of_that_name_may_be_the_only_copy(host: Host) -> None:
    """As the way back by hand leaves it."""
    host.check_output(f"docker volume create {DATA}-17")
    run = upgrade(*NEW, "-e", "upgrade_rehearse=true")
    assert run.rc == 2 and run.changed == 0
    assert f"docker volume rm {DATA}-17" in run.failure
    host.check_output(f"docker volume rm {DATA}-17")


class TestUpgraded:
    """On 17 with all it had; everything else finds the new server."""

    def test_every_answer_and_every_value_is_the_same(self, host: Host) -> None:
        psql(host, "CREATE ROLE reader LOGIN; GRANT SELECT ON courses TO reader")
        psql(host, "ALTER DATABASE brainer SET work_mem = '5MB'")
        psql(host, "CREATE DATABASE other")
        psql(host, "CREATE TABLE mine AS SELECT 7 AS n", "other")
        told, before = written(host), values(host)
        run = upgrade(*NEW)
        assert run.rc == 0, run.failure
        on_new(host, told)
        assert values(host) == before
        for word in (
            "UPGRADED: PostgreSQL 17",
            "API before and after: equal",
            "digest that it had on 15",
        ):
            assert word in run.told
        # two minutes were seen with five other scenarios beside it
        assert 0 < away(run.told) < 300
        assert psql(host, "SELECT has_table_privilege('reader', 'courses', 'SELECT')") == "t"
        assert psql(host, "SHOW work_mem") == "5MB"
        assert psql(host, "SELECT n FROM mine", "other") == "7"

    def test_done_again_it_changes_nothing(self, host: Host) -> None:
        run = upgrade(*NEW)
        assert run.rc == 0 and run.changed == 0 and "ALREADY ON POSTGRESQL 17" in run.told
        assert "PostgreSQL 15 is kept" in run.told

    def test_a_rehearsal_removes_nothing_that_is_kept(self, host: Host) -> None:
        run = upgrade(*NEW, "-e", "upgrade_state=confirmed", "-e", "upgrade_rehearse=true")
        assert run.rc == 2 and run.changed == 0 and "upgrade_rehearse goes with" in run.failure
        assert host.run(f"docker volume inspect {DATA}").rc == 0

    def test_the_inventory_has_to_say_so(self, host: Host) -> None:
        site = play("site.yml", *NEW, "--skip-tags", "docker,backup")
        assert site.rc == 0 and site.changed == 0, site.output
        refused = play("site.yml", *OLD, "--tags", "postgres")
        assert refused.rc == 2 and "postgres_image=postgres:17-trixie" in refused.failure

    def test_backups_and_monitoring_and_doctor_find_it(self, host: Host) -> None:
        assert host.run("db_backup nightly --quiet").rc == 0
        assert json.loads(host.check_output("db_backup drill --quiet --json"))["exit_code"] == 0
        newest = json.loads(host.check_output("db_backup list --json"))["sets"][-1]
        assert newest["server_version"].startswith("17")
        assert host.run("db_status sample").rc == 0
        assert play("doctor.yml").rc == 0
        assessed = play("rollback.yml", "--tags", "assess")
        assert "the app lives there since" in assessed.told and "lossless OPEN" in assessed.told


class TestUndone:
    """Going back gives up what was written since: said, refused, accepted, kept."""

    @pytest.fixture(scope="class")
    def former(self, host: Host) -> str:
        """What 15 had when it was left."""
        return answers(host)

    def test_it_is_refused_until_it_is_accepted(self, host: Host, former: str) -> None:
        told = written(host)
        run = upgrade(*UNDONE)
        assert run.rc == 2 and run.changed == 0 and "upgrade_accept_loss=true" in run.failure
        assert re.search(r"table public.courses has \d+ rows, not \d+", run.told)
        on_new(host, told)

    def test_then_it_is_kept_in_a_backup(self, host: Host, former: str) -> None:
        run = upgrade(*UNDONE, "-e", "upgrade_accept_loss=true")
        assert run.rc == 0 and "UNDONE" in run.told, run.failure
        (path,) = re.findall(r"what was given up is in (\S+/brainer-\w+)", run.told)
        manifest = json.loads(host.file(f"{path}/manifest.json").content_string)
        assert manifest["server_major"] == 17 and manifest["kind"] == "before"
        on_old(host, former)
        assert not host.file(f"{PLACE}/volume.json").exists
        assert host.run("db_status sample").rc == 0

    def test_there_is_nothing_more_to_undo(self, host: Host) -> None:
        run = upgrade(*UNDONE)
        assert run.rc == 0 and run.changed == 0 and "NOTHING TO UNDO" in run.told


def test_the_runbooks_commands_were_run() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    commands = re.findall(
        r"^    (ansible-playbook playbooks/upgrade.yml.*)$", runbook, re.MULTILINE
    )
    assert len(commands) == 2
    for line in commands:
        assert played(line), f"nobody ran: {line}"
