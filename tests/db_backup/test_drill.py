"""A drill proves that a set can be restored, and has teeth; it leaves nothing, and nobody can reach it."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from ..postgres import docker
from .program import FILES, Program, ask
from .test_restore import forge


def ours(program: Program) -> list[str]:
    """Containers of drills on this directory: other tests may run beside these."""
    where = hashlib.sha256(str(program.directory.resolve()).encode()).hexdigest()[:8]
    label = f"label=db_backup.drill={where}"
    return docker("ps", "--all", "--quiet", "--filter", label).split()


def test_a_drill(program: Program) -> None:
    name = program.backup()
    process = program.spawn("drill")
    seen: dict[str, object] = {}
    while process.poll() is None:
        for container in ours(program):
            shown = subprocess.run(
                ["docker", "inspect", container], capture_output=True, text=True, check=False
            )
            found = json.loads(shown.stdout or "[]")
            if found:
                seen = found[0]["HostConfig"] | {"Ports": found[0]["NetworkSettings"]["Ports"]}
        time.sleep(0.05)
    told = json.loads(process.communicate()[0])
    assert process.returncode == 0, told
    assert told["set"] == name and told["rows"] == 1005 and told["tables"] == 4
    assert told["rpo"] >= 0 and 0 < told["rto"] < 120
    assert seen["NetworkMode"] == "none" and seen["Ports"] == {}
    assert seen["Memory"] == seen["MemorySwap"] == 384 * 2**20
    assert ours(program) == []
    record = json.loads((program.directory / ".db_backup" / "drill.json").read_text())
    assert record["set"] == name and record["rto"] == told["rto"]
    assert program("status").code == 0


def digest_of(program: Program, name: str, table: str) -> str:
    tables = program.manifest(name)["contents"]["tables"]
    return next(str(one["digest"]) for one in tables if one["name"] == table)


def test_it_has_teeth(program: Program) -> None:
    name = program.backup()
    true = digest_of(program, name, "course")
    forge(program, name, "course", digest="4:5")
    result = program("drill")
    assert result.code == 3 and "public.course" in result.error
    assert ours(program) == []
    assert not (program.directory / ".db_backup" / "drill.json").exists()
    status = program("status")
    assert status.code == 1
    bad = {limit["name"] for limit in status.report["limits"] if not limit["ok"]}
    assert bad == {"drill", "failed since", "newest backup", "damaged sets"}
    assert program("verify", name).code == 0
    assert "damaged" in program("list").report["sets"][0], "whole bytes are no answer to a drill"
    forge(program, name, "course", digest=true)
    assert program("drill").code == 0 and program("status").code == 0, "a drill is"


def test_a_killed_one_is_cleared_away_by_the_next(program: Program) -> None:
    program.backup()
    process = program.spawn("drill")
    while process.poll() is None and not ours(program):
        time.sleep(0.05)
    process.kill()
    process.wait()
    (left,) = ours(program)
    assert program("drill").code == 0
    assert ours(program) == [] and left


def test_an_image_that_is_not_there(program: Program) -> None:
    program.backup()
    result = program("drill", image="no-such-image:1")
    assert result.code == 1 and "docker run failed" in result.error


def test_a_command_on_a_set(program: Program, tmp_path: Path) -> None:
    """Neither the live server nor anything that is left has a part in it."""
    name = program.backup()
    ask(program.url, "DELETE FROM part")
    script = (
        "import os, sys, psycopg\n"
        "with psycopg.connect(os.environ['DATABASE_URL']) as c:\n"
        "    c.execute('CREATE TABLE mine (id int)')\n"
        "    print(c.execute('SELECT count(*) FROM part').fetchone()[0], sys.argv[1:])\n"
        "sys.exit(3)"
    )
    words = ["--dir", str(program.directory), "--database", program.url, "--floor-mb", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "db_backup", "with", name, "--quiet", *words, "--",
         sys.executable, "-c", script, "--json", "--", "x"],
        env=os.environ | {"PYTHONPATH": str(FILES)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "700 ['--json', '--', 'x']\n"), done.stderr
    assert ours(program) == []
    assert ask(program.url, "SELECT count(*), to_regclass('mine') FROM part") == [(0, None)]
