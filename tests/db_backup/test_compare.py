"""What the live database has now against what a set says: every table by its digest."""

import shutil
from pathlib import Path

from .program import Program, ask


def test_what_was_written_since_is_told_by_table(program: Program, tmp_path: Path) -> None:
    name = program.backup()
    ask(program.url, "SELECT nextval('counter')")
    same = program("compare", name)
    assert same.code == 0 and same.report["differences"] == [], same.report
    # as role upgrade keeps it: the manifest outlives the set
    manifest = tmp_path / "kept.json"
    shutil.move(program.directory / name / "manifest.json", manifest)
    ask(program.url, "UPDATE part SET body = 'y' WHERE id = 1")
    ask(program.url, "INSERT INTO \"T t\" VALUES (9, 'new')")
    ask(program.url, "CREATE TABLE another (id int)")
    found = program("compare", manifest)
    assert found.code == 3 and not found.report["changed"]
    for line in (
        "table public.part has as many rows, but not the same ones",
        "table public.T t has 4 rows, not 3",
        "table public.another was not there",
    ):
        assert line in found.report["differences"]
    assert not any("course" in line for line in found.report["differences"])


def test_no_manifest_is_an_error(program: Program, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text("[]")
    assert program("compare", wrong).code == 1
    assert program("compare", tmp_path / "nowhere.json").code == 1
