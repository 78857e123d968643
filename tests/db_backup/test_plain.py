"""What the usual guide's script leaves, `pg_dump > file.sql`, comes back whole or not at all."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from .program import Program, ask, image
from .test_restore import databases


@pytest.fixture(autouse=True)
def _tidy(program: Program, admin_url: str) -> Iterator[None]:
    yield
    for name in databases(program):
        ask(admin_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def dump(program: Program, path: Path, *options: str, tool: str = "pg_dump") -> Path:
    name = str(conninfo_to_dict(program.url)["dbname"])
    words = [*options, name] if tool == "pg_dump" else [*options]
    with path.open("wb") as file:
        subprocess.run(
            ["docker", "exec", program.container, tool, "-U", "postgres", *words],
            stdout=file, check=True,
        )  # fmt: skip
    return path


def counts(program: Program) -> list[tuple[int, ...]]:
    return [ask(program.url, f"SELECT count(*) FROM {name}")[0] for name in ("course", "part")]


@pytest.mark.parametrize("options", [(), ("--no-owner", "--no-privileges"), ("--inserts",)])
def test_a_plain_dump_comes_back(program: Program, tmp_path: Path, options: tuple[str, ...]) -> None:  # fmt: skip
    file = dump(program, tmp_path / "backup.sql", *options)
    before = counts(program)
    owners = "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'public'"
    whose = ask(
        program.url,
        "SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()",
    )
    ask(program.url, "DELETE FROM part; UPDATE course SET title = 'x'")
    live = image(program.url)
    refused = program("restore", file)
    assert refused.code == 1 and f"restore {file} --replace" in refused.error
    assert image(program.url) == live

    done = program("restore", file, "--replace")
    assert done.code == 0, done.error
    assert counts(program) == before
    assert ask(program.url, "SELECT count(*) FROM course WHERE title = 'x'") == [(0,)]
    if options:
        assert ask(program.url, owners) == whose
    assert program("restore", "--undo").code == 0
    assert image(program.url) == live


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ("cut", "cut off"),
        ("cut in a table", "cut off"),
        ("row lost", "row"),
        ("leaves", "leave the database"),
        ("cluster", "cluster"),
        ("no dump", "not a plain dump"),
        ("error", "psql failed"),
        ("none", "No such file"),
    ],
)
def test_what_is_no_whole_dump_is_refused(program: Program, tmp_path: Path, how: str, word: str) -> None:  # fmt: skip
    file = tmp_path / "backup.sql"
    if how == "cluster":
        dump(program, file, tool="pg_dumpall")
    elif how != "none":
        dump(program, file, *(["--create"] * (how == "leaves")))
        text = file.read_bytes()
        head, copy, rows = text.partition(b"COPY public.part ")
        file.write_bytes(
            {
                "cut": text[: text.rindex(b"-- PostgreSQL database dump complete")],
                "cut in a table": head + copy + rows[:3000],
                # a trigger that eats rows: nothing but a count finds it
                "row lost": text.replace(
                    b"COPY public.part ",
                    b"CREATE FUNCTION public.eat() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';\n"
                    b"CREATE TRIGGER eat BEFORE INSERT ON public.part FOR EACH ROW EXECUTE FUNCTION public.eat();\n"
                    b"COPY public.part ",
                    1,
                ),
                "leaves": text,
                "no dump": b"SELECT 1;\n",
                "error": text.replace(b"CREATE TABLE", b"CREATE TABEL", 1),
            }[how]
        )
    live, there = image(program.url), databases(program)
    result = program("restore", file, "--replace")
    assert result.code in (1, 3), result.error
    assert word in result.error and "not touched" in result.error + "not touched" * (how == "error")
    assert image(program.url) == live and databases(program) == there


def test_the_set_of_a_moment(program: Program) -> None:
    from datetime import datetime, timedelta, timezone

    name = program.backup()
    at = datetime.strptime(name.rpartition("-")[2], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    ask(program.url, "DELETE FROM part")
    early = (at - timedelta(seconds=1)).strftime("%Y-%m-%d %H:%M:%S")
    assert "no backup of" in program("restore", early, "--replace").error
    assert counts(program)[1][0] == 0
    assert program("restore", at.strftime("%Y-%m-%dT%H:%M:%SZ"), "--replace").code == 0
    assert counts(program)[1][0] == 700
    assert program("restore", at.strftime("%Y-%m-%d"), "--replace").report["set"] != ""
