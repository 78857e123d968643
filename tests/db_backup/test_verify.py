"""What a bad disk does to a set is found, every time; a good set is never called bad."""

import random
import shutil
from pathlib import Path

import pytest

from .program import Program


def damaged_copies(program: Program, name: str, number: int, seed: int) -> dict[str, int]:
    """Exit codes of ``verify`` for copies of a set with one bit flipped, or a file cut short."""
    chance = random.Random(seed)
    whole = program.directory / name
    aside = program.directory.parent / "whole"
    shutil.copytree(whole, aside)
    codes: dict[str, int] = {}
    for turn in range(number):
        for kind in ("flip", "cut"):
            file = chance.choice(sorted(path.name for path in whole.iterdir()))
            content = bytearray((aside / file).read_bytes())
            place = chance.randrange(len(content))
            if kind == "flip":
                content[place] ^= 1 << chance.randrange(8)
            else:
                del content[place:]
            (whole / file).write_bytes(content)
            codes[f"{turn} {kind} {file}[{place}]"] = program("verify", name).code
            shutil.copy(aside / file, whole / file)
    return codes


@pytest.mark.parametrize(
    "number", [15, pytest.param(100, marks=pytest.mark.slow)], ids=lambda count: f"{count} of each"
)
def test_every_flip_and_every_cut_is_found(program: Program, number: int) -> None:
    name = program.backup()
    codes = damaged_copies(program, name, number, seed=7)
    assert len(codes) == 2 * number
    # a manifest that can't be read is no set any more to `latest`, but is one by its name
    assert {place: code for place, code in codes.items() if code != 3} == {}
    assert program("verify", name).code == 0, "and nothing was left of it"


@pytest.mark.parametrize(
    "number", [5, pytest.param(50, marks=pytest.mark.slow)], ids=lambda count: f"{count} good ones"
)
def test_no_false_alarm(program: Program, number: int) -> None:
    program.backup()
    for turn in range(number):
        assert program("verify", "all").code == 0, turn


def test_a_damaged_set_is_named_and_never_taken_for_the_latest(program: Program) -> None:
    good = program.backup()
    prefix = good.rpartition("-")[0]
    later = program.directory / f"{prefix}-20990101T000000Z"
    shutil.copytree(program.directory / good, later)  # its manifest is that of another set
    assert program("verify").report["checked"] == [good]
    assert program("verify", "all").code == 3
    assert program("list").report["sets"][-1]["problem"] == f"the manifest is that of {good}"
    assert program("verify", later.name).code == 3


@pytest.mark.parametrize("command", ["verify", "drill"])
def test_what_was_found_is_remembered(program: Program, command: str) -> None:
    """The status does not read a set to its last byte; who did has said what is in it."""
    older, name = program.backup(), program.backup()
    assert status(program) == {}
    dump = program.directory / name / "database.dump"
    before = dump.read_bytes()
    dump.write_bytes(before[:99] + bytes([before[99] ^ 1]) + before[100:])
    assert program(command, *(["all"] if command == "verify" else [])).code == 3
    bad = status(program, also=("failed since",))
    assert set(bad) == {"damaged sets"} and f"{name} (database.dump is not" in bad["damaged sets"]
    told = program("status", max_drill_age_days="0").report["limits"]
    newest = next(one["text"] for one in told if one["name"] == "newest backup")
    assert older in newest and name not in newest
    marked = {one["set"]: one.get("damaged", "") for one in program("list").report["sets"]}
    assert marked[older] == "" and "is not what it was" in marked[name]

    dump.write_bytes(before)
    assert program("verify", name).code == 0
    assert status(program, also=("failed since",)) == {}, "found sound again"
    dump.write_bytes(before[:99] + bytes([before[99] ^ 1]) + before[100:])
    assert program("verify", name).code == 3
    shutil.rmtree(program.directory / name)
    assert status(program, also=("failed since",)) == {}, "gone"


def status(program: Program, also: tuple[str, ...] = ()) -> dict[str, str]:
    """Limits that are broken, but for those that are expected to be."""
    told = program("status", max_drill_age_days="0").report["limits"]
    return {one["name"]: one["text"] for one in told if not one["ok"] and one["name"] not in also}


def test_what_is_not_there(program: Program, tmp_path: Path) -> None:
    result = program("verify")
    assert result.code == 1 and "there is no backup" in result.error
    program.backup()
    assert program("verify", "brainer-20200101T000000Z").code == 1
