"""The copy elsewhere: sent, checked, fetched; and whatever happens there, nothing happens here."""

import json
import os
import shutil
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from .program import Program, ask


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """Options for a repository in another directory."""
    password = tmp_path / "restic-password"
    password.write_text("correct horse\n")
    repository = tmp_path / "elsewhere"
    return {"offsite_repository": str(repository), "offsite_password_file": str(password)}


def repository(elsewhere: dict[str, str]) -> Path:
    return Path(elsewhere["offsite_repository"])


def test_there_and_back_again(program: Program, elsewhere: dict[str, str]) -> None:
    done = program("nightly", **elsewhere)
    assert done.code == 0, done.error
    name = done.report["set"]
    assert done.report["offsite"] == name
    plain = (program.directory / name / "globals.sql").read_bytes()
    for path in repository(elsewhere).rglob("*"):
        assert path.is_dir() or plain[:200] not in path.read_bytes(), "encrypted"
    second = program("nightly", **elsewhere).report["set"]
    assert program("list", "--offsite", **elsewhere).report["sets"] == [name, second]
    assert program("offsite", "check", **elsewhere).code == 0
    assert program("status", max_drill_age_days="0", **elsewhere).code == 0

    before = program.bytes()
    shutil.rmtree(program.directory)
    restored = program("restore", second, "--offsite", "--replace", **elsewhere)
    assert restored.code == 0, restored.error
    after = program.bytes()
    assert {k: v for k, v in before.items() if k.startswith(second)}.items() <= after.items()
    assert (
        program.directory.stat().st_mode | (program.directory / second).stat().st_mode
    ) & 0o77 == 0
    assert program("restore", "--forget").code == 0


def test_the_newest_there_is_of_this_database(
    program: Program, elsewhere: dict[str, str], admin_url: str
) -> None:
    """Neither of another one, nor of what a restore replaced, nor one that a wrong clock made."""
    name = program.backup()
    other = f"z{conninfo_to_dict(program.url)['dbname']}"
    ask(admin_url, f"CREATE DATABASE {other}")
    theirs = program("backup", url=program.database(other)).report["set"]
    given_up = program("backup", "--before").report["set"]
    assert program("offsite", "push", **elsewhere).code == 0
    there = program("list", "--offsite", **elsewhere).report["sets"]
    assert set(there) == {name, theirs, given_up}
    shutil.rmtree(program.directory)
    assert program("restore", "--offsite", "--replace", **elsewhere).report["set"] == name
    assert program("restore", "--forget").code == 0
    ask(admin_url, f"DROP DATABASE {other}")


def test_the_newest_from_elsewhere_beside_the_live_database(
    program: Program, elsewhere: dict[str, str], admin_url: str
) -> None:
    """Which set is meant says the database that was backed up, not the one that is made of it."""
    name = program("nightly", **elsewhere).report["set"]
    shutil.rmtree(program.directory / name)
    look = f"{conninfo_to_dict(program.url)['dbname']}__off"
    done = program("restore", "latest", "--offsite", "--as", look, **elsewhere)
    assert done.code == 0, done.error
    assert (done.report["set"], done.report["database"]) == (name, look)
    assert ask(program.database(look), "SELECT count(*) FROM part") == [(700,)]
    ask(admin_url, f"DROP DATABASE {look}")


def test_a_wrong_password_and_a_place_that_is_gone(
    program: Program, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    assert program("nightly", **elsewhere).code == 0
    before = program.bytes()
    wrong = tmp_path / "wrong"
    wrong.write_text("battery staple\n")
    refused = program("nightly", **(elsewhere | {"offsite_password_file": str(wrong)}))
    assert refused.code == 5 and "wrong password" in refused.error
    assert "the backup is there and proved" in refused.error
    repository(elsewhere).rename(tmp_path / "moved")
    (tmp_path / "elsewhere").write_text("a file is in the way")
    gone = program("nightly", **elsewhere)
    assert gone.code == 5
    now = program.bytes()
    assert {key: now[key] for key in before} == before and len(program.sets) == 3, (
        "local ones count"
    )
    assert program("verify", "all").code == 0
    bad = program("status", max_drill_age_days="0", max_offsite_age_hours="0", **elsewhere)
    assert {limit["name"] for limit in bad.report["limits"] if not limit["ok"]} == {
        "off-site",
        "failed since",
    }, "its own alarm"

    (tmp_path / "elsewhere").unlink()
    (tmp_path / "moved").rename(repository(elsewhere))
    healed = program("nightly", **elsewhere)
    assert healed.code == 0
    assert len(program("list", "--offsite", **elsewhere).report["sets"]) == 4, (
        "what it missed was sent, too"
    )


def off_site(program: Program, elsewhere: dict[str, str]) -> tuple[bool, str]:
    limits = program("status", max_drill_age_days="0", **elsewhere).report["limits"]
    return next((one["ok"], one["text"]) for one in limits if one["name"] == "off-site")


@pytest.mark.parametrize("there", ["nothing", "another one"])
def test_an_empty_mount_point_is_no_new_beginning(
    program: Program, elsewhere: dict[str, str], tmp_path: Path, there: str
) -> None:
    assert program("nightly", **elsewhere).code == 0
    place, aside = repository(elsewhere), tmp_path / "not-mounted"
    place.rename(aside)
    place.mkdir()
    if there == "another one":
        other = Program(tmp_path / "other", program.url, program.container)
        assert other("nightly", **elsewhere).code == 0
    before = sorted(place.rglob("*"))
    told = program("nightly", **elsewhere)
    assert told.code == 5 and str(place) in told.error, told.error
    words = "is gone from its place" if there == "nothing" else "another off-site repository"
    assert words in told.error and "offsite push --begin-anew" in told.error
    assert [path for path in sorted(place.rglob("*")) if "locks" not in path.parts] == [
        path for path in before if "locks" not in path.parts
    ], "nothing is made there"
    ok, text = off_site(program, elsewhere)
    assert not ok and words in text and str(place) in text
    assert program("offsite", "check", **elsewhere).code == 1

    gone = tmp_path / "gone"
    place.rename(gone)
    aside.rename(place)
    assert program("offsite", "push", **elsewhere).code == 0, "mounted again"
    assert off_site(program, elsewhere)[0]
    place.rename(aside)
    gone.rename(place)
    assert program("offsite", "push", **elsewhere).code == 1
    assert program("offsite", "push", "--begin-anew", **elsewhere).code == 0
    assert program("nightly", **elsewhere).code == 0, "from here on it is this one"
    assert off_site(program, elsewhere)[0]


def test_another_place_is_a_beginning(
    program: Program, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    assert program("nightly", **elsewhere).code == 0
    moved = elsewhere | {"offsite_repository": str(tmp_path / "second")}
    name = program("nightly", **moved).report["set"]
    assert name in program("list", "--offsite", **moved).report["sets"]
    shutil.rmtree(repository(elsewhere))
    assert program("nightly", **elsewhere).code == 5, "each place is remembered"


def test_a_record_of_before_ids_were_kept(program: Program, elsewhere: dict[str, str]) -> None:
    assert program("nightly", **elsewhere).code == 0
    record = program.directory / ".db_backup" / "offsite.json"
    found = json.loads(record.read_text())
    record.write_text(json.dumps({"pushed": found["pushed"], "pushed_at": found["pushed_at"]}))
    shutil.rmtree(repository(elsewhere))
    assert program("nightly", **elsewhere).code == 5


def test_damage_elsewhere_is_found_and_not_brought_here(
    program: Program, elsewhere: dict[str, str]
) -> None:
    ask(program.url, "CREATE TABLE big AS SELECT md5(g::text) FROM generate_series(1, 60000) g")
    name = program("nightly", **elsewhere).report["set"]
    pack = max(repository(elsewhere).glob("data/*/*"), key=os.path.getsize)
    os.chmod(pack, 0o600)
    with pack.open("r+b") as file:
        file.seek(pack.stat().st_size // 2)
        file.write(bytes(64))
    assert program("offsite", "check", **(elsewhere)).code in (0, 1)  # it reads a part
    shutil.rmtree(program.directory)
    fetched = program("offsite", "fetch", name, **elsewhere)
    assert fetched.code in (1, 3) and program.sets == []


def test_nothing_is_set(program: Program) -> None:
    result = program("offsite", "push")
    assert result.code == 1 or result.code == 2
    assert json.dumps(result.report)


def test_a_damaged_set_is_not_sent(program: Program, elsewhere: dict[str, str]) -> None:
    name = program.backup()
    with (program.directory / name / "database.dump").open("r+b") as file:
        file.write(b"????")
    good = program("nightly", **elsewhere).report["set"]
    assert program("list", "--offsite", **elsewhere).report["sets"] == [good]
