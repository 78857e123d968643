"""A server fresh from the provider: Debian, SSH, and nothing else."""

from controller import play
from testinfra.host import Host


def test_there_is_no_engine(host: Host) -> None:
    assert not host.exists("docker")


def test_a_dry_run_of_the_whole_provision_is_green() -> None:
    run = play("site.yml", "--check")
    assert run.rc == 0
    assert run.changed > 0, "it says what it would do"


def test_the_dry_run_did_nothing(host: Host) -> None:
    assert not host.exists("docker")
    assert not host.file("/opt/brainer-db").exists
    assert host.check_output("find / -xdev -newer /proc/1 -path '/opt/*'") == ""


def test_a_migration_says_that_there_is_no_docker(host: Host) -> None:
    run = play("migrate.yml", inside=True)
    assert run.rc != 0
    assert "Docker" in run.failure and "Next:" in run.failure
    assert not host.exists("docker") and not host.file("/opt/brainer-db").exists
