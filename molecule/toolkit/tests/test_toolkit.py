"""The programs as their users call them: over SSH, as deploy, by name."""

import json
import shlex

import pytest
from testinfra.host import Host

HOME = "/opt/brainer-db/toolkit"


def as_user(host: Host, command: str) -> str:
    return host.check_output("runuser --login deploy --command %s", command)


@pytest.mark.parametrize(
    "program", ["migrate_db", "api_compare", "db_backup", "db_status", "db_doctor", "load_test"]
)
class TestProgram:
    def test_it_runs_by_name_for_a_user_without_sudo(self, host: Host, program: str) -> None:
        assert "usage" in as_user(host, f"{program} --help").lower()

    def test_it_runs_from_cron_with_its_short_path(self, host: Host, program: str) -> None:
        command = f"env -i PATH=/usr/bin:/bin /usr/local/bin/{program} --help"
        assert "usage" in host.check_output(command).lower()

    def test_a_file_in_the_callers_directory_does_not_stand_in(
        self, host: Host, program: str
    ) -> None:
        shadow = f"cd $(mktemp -d) && echo 'raise SystemExit(9)' | tee {program}.py json.py"
        assert "usage" in as_user(host, f"{shadow} >/dev/null && {program} --help").lower()

    def test_it_hands_arguments_and_exit_code_on(self, host: Host, program: str) -> None:
        assert host.run(f"{program} --no-such-option 'two words'").rc == 2


def test_dependencies_are_the_pinned_ones(host: Host) -> None:
    wanted = {
        line.split("==")[0]: line.split("==")[1].split()[0]
        for line in host.file(f"{HOME}/venv/requirements.txt").content_string.splitlines()
        if "==" in line
    }
    listed = json.loads(
        host.check_output(f"{HOME}/venv/bin/pip list --format json --disable-pip-version-check")
    )
    installed = {
        package["name"].lower().replace("_", "-"): package["version"] for package in listed
    }
    assert {"psycopg", "psycopg-binary", "rich", "pyyaml", "sqlglot"} <= wanted.keys()
    assert {name: installed.get(name) for name in wanted} == wanted
    assert installed.keys() - wanted.keys() <= {"pip", "setuptools", "wheel"}


def test_they_can_be_imported(host: Host) -> None:
    code = "import psycopg, rich, yaml, sqlglot; print(psycopg.pq.__impl__)"
    assert as_user(host, f"{HOME}/venv/bin/python -c {shlex.quote(code)}") == "binary"


def test_programs_are_one_release_published_by_a_link(host: Host) -> None:
    current = host.check_output(f"readlink {HOME}/current")
    assert host.file(f"{HOME}/{current}/migrate_db/__main__.py").exists
    assert len(host.file(f"{HOME}/releases").listdir()) == 2  # and the one before
    assert host.check_output(f"find {HOME}/{current} ! -user root -o -perm /022 ! -type l") == ""


def test_the_preview_left_nothing_behind(host: Host) -> None:
    assert host.check_output("find /tmp /root /home -name 'toolkit*'") == ""
