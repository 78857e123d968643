"""The app is on PostgreSQL, everything else is as the operator left it, and compose reads what was written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml
from testinfra.host import Host

SCENARIO = Path(__file__).parents[1]
VARS: dict[str, str] = yaml.safe_load((SCENARIO / "vars.yml").read_text())
sys.path.insert(0, str(SCENARIO.parents[1] / "roles" / "backend" / "library"))

from backend_env import set_values  # noqa: E402


def test_the_app_is_on_postgresql(host: Host) -> None:
    answer = json.loads(host.check_output("curl -sS http://127.0.0.1:8000/health"))
    assert answer == {"status": "ok", "database": "postgresql"}


def test_one_word_and_one_line_of_the_env_file_changed(host: Host) -> None:
    expected = f"{VARS['test_env_head']}DB_TYPE=postgres{VARS['test_env_tail']}\r\nDATABASE_URL={VARS['test_url']}\r\n"
    assert host.file("/opt/brainer/.env").content == expected.encode()


def test_the_env_file_is_still_the_operators(host: Host) -> None:
    file = host.file("/opt/brainer/.env")
    assert (file.mode, file.user, file.group) == (0o640, "games", "www-data")
    listed = host.check_output("ls --almost-all /opt/brainer").split()
    assert listed == [".env", "data", "docker-compose.override.yml", "docker-compose.yml"], (
        "nothing is left beside it"
    )


def test_the_copy_is_private_and_as_it_was(host: Host) -> None:
    copy = host.file("/root/env.before")
    assert copy.mode == 0o600
    assert copy.content_string == f"{VARS['test_env_head']}DB_TYPE=sqlite{VARS['test_env_tail']}"


def test_the_other_services_were_not_touched(host: Host) -> None:
    form = "{{.Name}} {{.Id}} {{.State.StartedAt}}"
    now = host.check_output("docker inspect --format %s brainer-bystander-1 brainer-orphan-1", form)
    assert now == host.check_output("cat /root/others")
    running = host.check_output("docker ps --format {{.Names}}").split()
    assert {"brainer-bystander-1", "brainer-orphan-1"} <= set(running)


def test_nothing_is_left_of_the_probe(host: Host) -> None:
    assert host.check_output("docker ps --all --quiet --filter name=probe") == ""
    assert host.check_output("docker network ls --quiet --filter name=probe") == ""


def test_no_secret_in_a_process_list_or_log(host: Host) -> None:
    password = VARS["test_url"].split(":")[2].split("@")[0]
    assert password not in host.check_output("ps axww -o args")
    assert password not in host.check_output("journalctl --no-pager")


VALUES = (
    VARS["test_url"],
    "postgresql://u:p@h1,h2/d?target_session_attrs=read-write&application_name=a+b",
    "",
    "a b",
    "$HOME",
    'say "no" #really',
    "#first",
    " edge ",
    "`id` $(id) !x *?[]~;|<>",
    "ключ€",
    "a=b:c",
)
FILES = (
    b"",
    b"A=1",
    b"URL=old # c\r\nA=1\r\n",
    b"URL= # c\nA=1\n",
    b"export URL = 'old' # c\nA=1\n",
    b'URL="old$x\\"y"#c\nA=1\n',
    b"URL=first\nA=1\nURL=last\n",
    b'B="x\nURL=inside\n"\nURL=old\nA=1\n',
    b"URL: yaml\nA=1\n",
    b"\xef\xbb\xbfURL=bom\nA=1\n",
)
# One project with a service for each case, so that compose is asked once.
READ = """
import json, subprocess, sys, tempfile
with tempfile.TemporaryDirectory() as d:
    services = {}
    for number, case in enumerate(json.load(sys.stdin)):
        with open(f"{d}/{number}.env", "wb") as file:
            file.write(bytes.fromhex(case))
        services[f"s{number}"] = {"image": "x", "env_file": f"{d}/{number}.env"}
    with open(f"{d}/docker-compose.yml", "w") as file:
        json.dump({"name": "t", "services": services}, file)
    command = ["docker", "compose", "config", "--format", "json"]
    out = json.loads(subprocess.run(command, cwd=d, capture_output=True, check=True).stdout)
    print(json.dumps([out["services"][f"s{number}"]["environment"] for number in range(len(services))]))
"""


def test_compose_reads_every_value_back(host: Host) -> None:
    cases = [(before, value) for value in VALUES for before in FILES]
    written = [set_values(before, {"URL": value})[0].hex() for before, value in cases]
    read = json.loads(host.check_output("printf %%s %s | python3 -c %s", json.dumps(written), READ))
    assert len(read) == len(cases) > 100
    for (before, value), environment in zip(cases, read, strict=True):
        assert environment["URL"].replace("$$", "$") == value, before
        assert environment.get("A") == ("1" if b"A=1" in before else None), before


@pytest.mark.parametrize(
    "path", ["/opt/brainer/docker-compose.yml", "/opt/brainer/docker-compose.override.yml"]
)
def test_the_compose_files_are_not_ours(host: Host, path: str) -> None:
    assert host.file(path).user == "root" and "probe" not in host.file(path).content_string
