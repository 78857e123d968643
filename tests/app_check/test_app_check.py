"""Sources as people have them, before and after: what is said, where, and what is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from app_check.cli import main
from app_check.finding import ERROR, Finding
from app_check.project import check

ROOT = Path(__file__).parents[2]
REQUIREMENTS = "fastapi\nsqlalchemy\npsycopg[binary]==3.3.9\n"
DATABASE = """
import os
from sqlalchemy import create_engine
url = os.environ["DATABASE_URL"]
engine = create_engine(url)
"""
MAIN = """
from fastapi import FastAPI
app = FastAPI()

@app.get("/health")
def health(): ...
"""


def app(directory: Path, **files: str) -> Path:
    """An app that is fine, but for these files; ``api__x`` is ``api/x.py``."""
    whole = {"requirements.txt": REQUIREMENTS, "database": DATABASE, "main": MAIN} | files
    for name, text in whole.items():
        path = directory / (
            name if "." in name or name[0].isupper() else f"{name.replace('__', '/')}.py"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def errors(found: list[Finding]) -> list[tuple[str, str]]:
    return [(one.where, one.rule) for one in found if one.level == ERROR]


def test_the_example_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--dockerfile", "Dockerfile.backend", "--health-path", "/health"]
    assert main([str(ROOT / "examples/brainer"), *words]) == 0
    assert "0 to mend" in capsys.readouterr().out


def test_an_app_that_was_never_made_for_it(tmp_path: Path) -> None:
    """As the usual tutorial has it."""
    found = check(
        app(
            tmp_path,
            **{
                "requirements.txt": "fastapi\nsqlalchemy\n# psycopg would be nice\n",
                "database": "from sqlalchemy import create_engine\n"
                'engine = create_engine("sqlite:///./brainer.db", connect_args={"check_same_thread": False})\n',
                "main": "from fastapi import FastAPI\napp = FastAPI()\n",
                "Dockerfile": "FROM python:3.13\nRUN apt-get install -y curl \\  # add this\n    git\n",
            },
        ),
        "Dockerfile",
        "/health",
    )
    assert errors(found) == [
        (".", "health"),
        ("Dockerfile:2", "dockerfile-comment"),
        ("database.py:2", "check-same-thread"),
        ("database.py:2", "database-url"),
        ("requirements.txt:3", "driver"),
    ]
    assert all(one.what and one.instead for one in found)
    assert ("Dockerfile", "client") in [(one.where, one.rule) for one in found]


@pytest.mark.parametrize(
    "text",
    [
        'args = {"check_same_thread": False} if url.startswith("sqlite") else {}',
        'args = {} if "postgres" in url else {"check_same_thread": False}',
        'args = {}\nif url.startswith("sqlite"):\n    args["x"] = {"check_same_thread": False}',
        'if not url.startswith("postgresql"):\n    e = create(url, check_same_thread=False)',
        'def sqlite_engine(url):\n    return create(url, check_same_thread=False)',
        'def engine(url):\n    if url.startswith("postgres"):\n        return create(url)\n'
        "    return create(url, check_same_thread=False)",
    ],
)  # fmt: skip
def test_what_only_sqlite_gets_is_fine(tmp_path: Path, text: str) -> None:
    assert errors(check(app(tmp_path, more=text))) == []


@pytest.mark.parametrize(
    "text",
    [
        'args = {"check_same_thread": False}',
        'args = {"check_same_thread": False} if "postgres" in url else {}',
        'if not url.startswith("sqlite"):\n    e = create(url, check_same_thread=False)',
        'if debug:\n    e = create(url, check_same_thread=False)',
        'if url.startswith("sqlite"):\n    pass\ne = create(url, check_same_thread=False)',
    ],
)  # fmt: skip
def test_what_postgresql_gets_too_is_not(tmp_path: Path, text: str) -> None:
    found = errors(check(app(tmp_path, more=text)))
    assert [rule for _, rule in found] == ["check-same-thread"]


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("INSERT OR REPLACE INTO t VALUES (1)", "INSERT OR REPLACE"),
        ("REPLACE INTO t VALUES (1)", "REPLACE INTO"),
        ("PRAGMA foreign_keys = ON", "PRAGMA"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT)", "AUTOINCREMENT"),
        ("SELECT strftime('%Y', at) FROM t", "strftime()"),
        ("SELECT julianday('now') - julianday(at) FROM t", "julianday()"),
        ("SELECT GROUP_CONCAT(name) FROM t", "group_concat()"),
        ("SELECT * FROM t WHERE at > datetime('now', '-1 day')", "datetime('now')"),
        ("SELECT name FROM sqlite_master", "sqlite_master"),
        ("SELECT last_insert_rowid() FROM t", "last_insert_rowid()"),
        ("SELECT * FROM t LIMIT 10, 20", "LIMIT a, b"),
        ("SELECT * FROM t WHERE name = ?", "a ? for a value"),
        ("SELECT json_extract(content, '$.a') FROM t", "json_extract()"),
        ("SELECT * FROM t ORDER BY name COLLATE NOCASE", "COLLATE NOCASE"),
    ],
)
def test_sql_of_sqlite_alone(tmp_path: Path, statement: str, told: str) -> None:
    (one,) = check(app(tmp_path, api__query=f"\nrows = db.execute({statement!r})\n"))
    assert (one.where, one.rule, one.level) == ("api/query.py:2", "sqlite-sql", ERROR)
    assert one.what == f"{told} in SQL"


@pytest.mark.parametrize(
    "text",
    [
        'db.execute("SELECT id, count(*) FROM t WHERE at > :since GROUP BY id LIMIT 10 OFFSET 5")',
        'db.execute("INSERT INTO t (a) VALUES (:a) ON CONFLICT (a) DO NOTHING RETURNING id")',
        '"""SELECT of a course: strftime() is what it was made with"""\nx = 1',
        'help = "PRAGMA is SQLite\'s"\nprint("Do you GLOB? Really?")',
        'def f():\n    """DELETE from sqlite_master"""',
        "stamp = at.strftime('%Y'); now = datetime.now()",
        "def sqlite_only(db):\n    db.execute('PRAGMA foreign_keys = ON')",
    ],
)
def test_what_both_know_and_what_is_no_sql(tmp_path: Path, text: str) -> None:
    assert check(app(tmp_path, more=text)) == []


def test_an_f_string_and_sqlalchemy_s_functions(tmp_path: Path) -> None:
    text = (
        "rows = db.execute(f'SELECT ifnull(a, 0) FROM {table}')\n"
        "q = select(func.strftime('%Y', T.at), func.count(), func.group_concat(T.a))\n"
        "q = select(T).where(T.name.like('a%')).limit(3)\n"
        "q = select(T).order_by(T.id).offset(1).limit(3)\n"
        "from sqlalchemy.dialects.sqlite import insert\n"
        "import sqlite3; c = sqlite3.connect('x.db')\n"
    )
    found = [(one.line, one.rule, one.level) for one in check(app(tmp_path, more=text))]
    assert found == [
        (1, "sqlite-sql", "error"),
        (2, "sqlite-function", "error"),
        (2, "sqlite-function", "error"),
        (3, "like", "advice"),
        (3, "order-by", "advice"),
        (5, "sqlite-import", "error"),
        (6, "sqlite-import", "error"),
    ]


def test_a_script_that_nobody_imports_is_only_told(tmp_path: Path) -> None:
    script = "import sqlite3\nsqlite3.connect('x').execute('PRAGMA x')\nif __name__ == '__main__': pass\n"
    (one,) = check(app(tmp_path, load=script))
    assert (one.where, one.rule, one.level) == ("load.py:2", "script", "advice")
    found = check(app(tmp_path, load=script, other="import load\n"))
    assert [rule for _, rule in errors(found)] == ["sqlite-import", "sqlite-sql"]


def test_where_the_address_and_the_driver_may_be(tmp_path: Path) -> None:
    settings = "class Settings(BaseSettings):\n    database_url: str\n"
    database = "engine = create_engine(Settings().database_url)\n"
    project = '[project]\ndependencies = ["asyncpg>=0.30"]\n'
    files = {"requirements.txt": "fastapi\n", "pyproject.toml": project}
    assert check(app(tmp_path, settings=settings, database=database, **files)) == []


def test_the_health_path_behind_a_prefix(tmp_path: Path) -> None:
    prefixed = 'router = APIRouter(prefix="/api")\n@router.get("/health/")\ndef f(): ...\n'
    assert check(app(tmp_path, main=prefixed), "", "/api/health") == []


def test_tests_environments_and_garbage_are_no_part_of_it(tmp_path: Path) -> None:
    bad = "db.execute('PRAGMA x')"
    files = {"tests__a": bad, ".venv__b": bad, "node_modules__c": bad}
    assert check(app(tmp_path, **files)) == []
    (tmp_path / "broken.py").write_bytes(b"def (\xff\x00")
    (one,) = check(tmp_path)
    assert (one.file, one.rule, one.level) == ("broken.py", "syntax", "advice")


def test_what_is_accepted_by_rule_or_by_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(app(tmp_path, a="db.execute('PRAGMA x')", b="db.execute('PRAGMA x')")), "--json"]
    assert main([*words, "--accept", "sqlite-sql:a.py"]) == 3
    told = json.loads(capsys.readouterr().out)["findings"]
    assert [(one["where"], one["refused"]) for one in told] == [("a.py:1", False), ("b.py:1", True)]
    assert main([*words, "--accept", "sqlite-sql"]) == 0


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    """As a person calls it."""
    command = [sys.executable, "-m", "app_check"]
    for directory in (tmp_path, tmp_path / "nowhere"):
        done = subprocess.run(
            [*command, str(directory)], cwd=ROOT / "files", capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2 and "Next:" in done.stderr and not done.stdout
