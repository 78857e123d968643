"""The app lives on a server that isn't ours: everything that an operator calls, one after the other."""

import json

from controller import SCRATCH, play, slow
from outside import MIGRATION, answers, on, sql, write
from testinfra.host import Host

#: Converge has done it; to do it each time again would only take time.
SHORT = ("--skip-tags", "docker,toolkit,backup,monitoring")


def test_the_app_lives_there(host: Host) -> None:
    on(host, "postgresql")
    assert sql(host, "SELECT held, opened_at IS NOT NULL FROM migrate_db.state") == "f|t"
    used = "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'brainer'"
    assert sql(host, used) == "t", "the app's own sessions are encrypted"


def test_nobody_else_reads_the_password(host: Host) -> None:
    words = "/root/outside/words"
    assert host.file("/opt/brainer/.env").contains("p%40ss"), "it would be found"
    found = host.run(
        f"grep -rlFf {words} /opt/brainer-db /opt/brainer/backups --exclude-dir=secrets"
    )
    assert found.stdout == ""
    assert host.run(f"journalctl --no-pager | grep -Ff {words}").stdout == ""
    secrets = host.file(words).content_string.split("\n")[:2]
    reports = [path for path in (SCRATCH / "reports").rglob("*.*") if path.is_file()]
    assert reports and not [p for p in reports for s in secrets if s in p.read_text()]


def test_verify_status_and_doctor_work_there(host: Host) -> None:
    done = play("verify.yml")
    assert (done.rc, done.changed) == (0, 0)
    done = play("status.yml")
    assert (done.rc, done.changed) == (0, 0)
    assert "GRANT pg_monitor TO brainer" in done.told, "what can't be seen is said"
    done = play("doctor.yml")
    assert (done.rc, done.changed) == (0, 0)


def test_a_backup_says_what_it_lacks_and_restores(host: Host) -> None:
    done = play("backup.yml")
    assert done.rc == 0, "proved"
    newest = host.check_output("ls -d /opt/brainer/backups/brainer-* | tail -1")
    roles = host.check_output(f"cat {newest}/globals.sql")
    assert "CREATE ROLE brainer" in roles and "SCRAM" not in roles
    drilled = json.loads(host.check_output("db_backup drill --json --quiet"))
    assert drilled["exit_code"] == 0 and drilled["tables"] == 5


def test_a_restore_wants_rights_and_touches_nothing_without(host: Host) -> None:
    refused = json.loads(host.run("db_backup restore latest --replace --json --quiet").stdout)
    assert refused["exit_code"] == 1 and 'ALTER ROLE "brainer" CREATEDB;' in " ".join(
        refused["error"]
    )
    on(host, "postgresql")


@slow
def test_the_app_is_not_stopped_for_that(host: Host) -> None:
    since = "docker inspect --format '{{ .State.StartedAt }}' brainer-backend-1"
    before = host.check_output(since)
    done = play("restore.yml", "-e", "backup_replace=true", *SHORT)
    assert done.rc != 0 and "CREATEDB" in done.failure
    assert host.check_output(since) == before


def test_with_the_rights_it_restores(host: Host) -> None:
    was = answers(host)
    write(host, "not-in-the-backup")
    sql(host, "ALTER ROLE brainer CREATEDB")
    done = play("restore.yml", "-e", "backup_replace=true", *SHORT)
    assert done.rc == 0
    on(host, "postgresql")
    assert answers(host) == was


def test_back_and_forth_again(host: Host) -> None:
    write(host, "written-there")
    was = answers(host)
    done = play("rollback.yml", "-e", "rollback_confirm=true")
    assert done.rc == 0
    on(host, "sqlite")
    assert answers(host) == was, "with all that was written there"
    done = play("migrate.yml", *SHORT)
    assert done.rc == 0
    on(host, "postgresql")
    assert answers(host) == was
    assert not host.file(f"{MIGRATION}/env.before").exists
