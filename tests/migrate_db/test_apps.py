"""Databases in the shape of well-known apps: all of it arrives, by default or by the proposed mapping."""

import sqlite3
from pathlib import Path

import pytest

from .corpus import apps
from .corpus.oracle import judge
from .program import Program, ask, beside, fetch

SCRIPTS = {script.stem: script for script in sorted(apps.SCRIPTS.glob("*.sql"))}
#: Apps of which values contradict what they declare; the others need no mapping.
DIRTY = {"dirty", "firefox_places", "messengers", "servers", "thunderbird_zotero",
         "trac_fossil_mercurial", "windows"}  # fmt: skip


@pytest.fixture
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    directory = tmp_path / "app"
    directory.mkdir()
    return apps.one(SCRIPTS[request.param], directory)


def test_there_are_some() -> None:
    assert len(SCRIPTS) >= 15 and set(SCRIPTS) > DIRTY


@pytest.mark.parametrize("source", SCRIPTS, indirect=True)
def test_all_of_it_arrives(program: Program, source: Path, tmp_path: Path) -> None:
    before, words = beside(source), ()
    checked = program.check(source)
    assert (checked.code, bool(checked.findings)) == (
        (1, True) if source.stem in DIRTY else (0, False)
    )
    if checked.findings:
        assert f"migrate_db run --source {source} --mapping" in checked.text, "what to do next"
        words = ("--mapping", tmp_path / "mapping.yml")
        program("plan", source, "--write-mapping", words[1], url="none")
    done = program.run(source, *words)
    assert done.code == 0, done.out
    assert judge(source, program.url, done.report) == []
    assert program.verify(source, *words).verdict == "equal"
    assert beside(source) == before


@pytest.mark.parametrize("source", DIRTY, indirect=True)
def test_what_does_not_fit_stays_behind(program: Program, source: Path, tmp_path: Path) -> None:
    """The others arrive, and both together are all rows there are."""
    aside = tmp_path / "aside.db"
    done = program.run(source, "--on-finding", "quarantine", "--quarantine-file", aside)
    assert done.code == 3, done.out
    assert judge(source, program.url, done.report) == []
    kept = {t["name"]: t["quarantined"] for t in done.report["tables"] if t["quarantined"]}
    assert kept and sum(kept.values()) == done.report["quarantined_rows"]
    for table in done.report["tables"]:
        name = table["name"].replace('"', '""')
        (arrived,) = ask(program.url, f'SELECT count(*) FROM "{table["target"]}"')
        try:
            (inside,) = fetch(source, f'SELECT count(*) FROM "{name}"')
        except sqlite3.OperationalError:  # its module isn't here
            continue
        assert arrived[0] + table["quarantined"] == inside[0], name
