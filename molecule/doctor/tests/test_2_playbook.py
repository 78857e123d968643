"""What the operator sees: doctor.yml finds, its own command mends, and it looks again."""

from __future__ import annotations

import json
import platform

from controller import Run, play, slow
from patient import ENV, MIGRATION, UP, psql, well
from testinfra.host import Host


def fix(name: str) -> Run:
    return play("doctor.yml", "-e", f"doctor_fix={name}")


def mended(name: str) -> Run:
    """It was found, something was changed, and then nothing is found any more."""
    run = fix(name)
    assert run.rc == 0, run.failure
    assert run.changed >= 1 and "NOTHING TO MEND" not in run.output
    assert "nothing found" in run.output
    return run


def test_nothing_found(host: Host) -> None:
    run = play("doctor.yml")
    assert run.rc == 0, run.failure
    assert run.changed == 0 and "nothing found" in run.output


def test_the_server_has_another_password_and_the_app_a_wrong_host(host: Host) -> None:
    """Two causes at once: both are told, the app that fails because of them is not; mended one by one."""
    psql(host, "ALTER ROLE brainer PASSWORD 'another'", "postgres")
    host.check_output(f"sed -i -E 's|@postgres:|@localhost:|' {ENV} && {UP}")
    run = play("doctor.yml")
    assert run.rc == 2 and run.changed == 0
    assert "2 problems found" in run.failure
    assert "host: the host in DATABASE_URL is wrong" in run.failure
    assert "password: the server does not know the password" in run.failure
    assert "app_" not in run.failure
    mended("password")
    well(host)


def test_a_lock_that_nobody_holds_is_given_back(host: Host) -> None:
    held = {
        "id": "20260101T000000Z",
        "operation": "migrate",
        "controller": platform.node(),
        "user": "x",
    }
    lock = json.dumps({**held, "process": 4194300, "born": "1"})
    host.check_output(f"printf %%s %s >{MIGRATION}/lock.json", lock)
    run = fix("lock")
    assert run.rc == 0, run.failure
    assert not host.file(f"{MIGRATION}/lock.json").exists


@slow
class TestEachFix:
    def test_a_dry_run_only_looks(self, host: Host) -> None:
        psql(host, "SELECT setval(pg_get_serial_sequence('exercises', 'id'), 1)")
        run = play("doctor.yml", "-e", "doctor_fix=sequences", "--check")
        assert run.rc == 2 and run.changed == 0 and "doctor_fix=sequences" in run.failure
        mended("sequences")

    def test_start_server(self, host: Host) -> None:
        host.check_output("docker stop brainer-postgres")
        run = play("doctor.yml")
        assert run.rc == 2 and "doctor_fix=start_server" in run.failure
        mended("start_server")

    def test_start_docker(self, host: Host) -> None:
        host.check_output("systemctl stop docker.socket docker 2>&1")
        run = play("doctor.yml")
        assert run.rc == 2 and "doctor_fix=start_docker" in run.failure
        fix("start_docker")
        well(host)

    def test_start_app(self, host: Host) -> None:
        host.check_output("docker stop brainer-backend-1")
        mended("start_app")

    def test_restart_app(self, host: Host) -> None:
        host.check_output(f"sed -i -E 's|^(DATABASE_URL=.*)|\\1?application_name=app|' {ENV}")
        mended("restart_app")

    def test_env_url(self, host: Host) -> None:
        host.check_output(f"sed -i -E 's|@postgres:|@localhost:|' {ENV} && {UP}")
        mended("env_url")

    def test_types(self, host: Host) -> None:
        psql(host, "ALTER TABLE courses ALTER content TYPE text")
        mended("types")

    def test_collation(self, host: Host) -> None:
        psql(host, "UPDATE pg_database SET datcollversion = '0.1' WHERE datname = 'brainer'")
        mended("collation")

    def test_the_container_is_gone_and_its_port_wide_open(self, host: Host) -> None:
        host.check_output("docker rm --force brainer-postgres")
        run = play("doctor.yml")
        assert run.rc == 2 and "server_absent" in run.failure
        assert play("site.yml", "--tags", "postgres", "-e", "postgres_bind_address=0.0.0.0").rc == 0
        run = play("doctor.yml")
        assert run.rc == 2 and "published on 0.0.0.0:5432" in run.output
        assert (
            play("site.yml", "--tags", "postgres", "-e", "postgres_bind_address=127.0.0.1").rc == 0
        )
        well(host)

    def test_what_is_not_found_is_not_mended(self, host: Host) -> None:
        run = fix("password")
        assert run.rc == 0 and run.changed == 0 and "NOTHING TO MEND" in run.output

    def test_no_such_fix(self, host: Host) -> None:
        run = fix("everything")
        assert run.rc == 2 and "There is no fix everything" in run.failure
