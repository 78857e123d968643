"""Calling the program and looking at both sides."""

import contextlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from migrate_db import cli
from psycopg import sql

FILES = Path(__file__).parents[2] / "files"


@dataclass(frozen=True)
class Result:
    code: int
    report: dict[str, Any]
    text: str  #: as a person reads it

    @property
    def out(self) -> str:
        """All that it said, to anybody."""
        return f"{self.text}\n{json.dumps(self.report, ensure_ascii=False)}"

    @property
    def verdict(self) -> str:
        return str(self.report["verdict"])

    @property
    def error(self) -> str:
        return "\n".join(self.report["error"])

    @property
    def told(self) -> list[str]:
        """The report as a person reads it."""
        return [line for line in self.text.splitlines() if line]

    @property
    def findings(self) -> list[tuple[str, str, str]]:
        return [(f["table"], f["key"], f["column"]) for f in self.report["findings"]]


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """What a test run is told by Ctrl-C is its own again afterwards."""
    own = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in own.items():
            signal.signal(number, handler)


class Program:
    """``migrate_db`` with one working directory; in this process, which is ten times faster."""

    def __init__(self, work: Path, url: str) -> None:
        self.work, self.url = work, url

    def __call__(self, command: str, source: Path | None, *words: object, url: str = "") -> Result:
        arguments = [command]
        if source is not None:
            arguments += ["--source", str(source), "--work-dir", str(self.work)]
        if url != "none":
            arguments += ["--target", url or self.url]
        arguments += map(str, words)
        out = io.StringIO()
        with tempfile.TemporaryDirectory() as directory:
            report = Path(directory, "report.json")
            with contextlib.redirect_stdout(out):
                with _own_signals():
                    code = cli.main([*arguments, "--report", str(report)])
            return Result(code, json.loads(report.read_text()), out.getvalue())

    def run(self, source: Path, *words: object, url: str = "") -> Result:
        return self("run", source, *words, url=url)

    def verify(self, source: Path, *words: object) -> Result:
        return self("verify", source, *words)

    def check(self, source: Path, *words: object, url: str = "none") -> Result:
        return self("check", source, *words, url=url)

    def command(self, *words: object) -> list[str]:
        """The words of a process of its own; the target goes by environment."""
        command, *options = map(str, words)
        work = ["--work-dir", str(self.work)]
        return [sys.executable, "-m", "migrate_db", command, *work, *options]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(FILES), "DATABASE_URL": self.url}

    def spawn(self, *words: object, **options: Any) -> subprocess.Popen[str]:
        # where the tests run in the background, Ctrl-C is ignored, and a child would inherit that
        options.setdefault("preexec_fn", lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        return subprocess.Popen(
            self.command(*words),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )


def sqlite(path: Path, script: str, *rows: tuple[str, list[tuple[Any, ...]]]) -> Path:
    """Make or change a SQLite file: a script, then rows for ``INSERT`` statements."""
    connection = sqlite3.connect(path)
    connection.executescript(script)
    for statement, values in rows:
        connection.executemany(statement, values)
    connection.commit()
    connection.close()
    return path


def fetch(path: Path, statement: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def image(url: str) -> dict[str, Any]:
    """All that a database holds, with the transaction that wrote each row: any write shows."""
    seen: dict[str, Any] = {}
    with psycopg.connect(url, autocommit=True) as connection:
        seen["objects"] = connection.execute(
            "SELECT n.nspname, c.relname, c.relkind::text, c.relfilenode, c.xmin::text"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname !~ '^(pg_|information_schema)' ORDER BY 1, 2"
        ).fetchall()
        seen["constraints"] = connection.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated"
            " FROM pg_constraint WHERE conrelid <> 0 AND connamespace::regnamespace::text"
            " NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
        ).fetchall()
        seen["settings"] = connection.execute(
            "SELECT setrole, setconfig FROM pg_db_role_setting s JOIN pg_database d"
            " ON d.oid = s.setdatabase WHERE d.datname = current_database()"
        ).fetchall()
        for schema, name, kind, *_ in seen["objects"]:
            if kind in "rS":
                seen[f"{schema}.{name}"] = connection.execute(
                    sql.SQL("SELECT t.xmin::text, t::text FROM {} t ORDER BY 2").format(
                        sql.Identifier(schema, name)
                    )
                    if kind == "r"
                    else sql.SQL("SELECT last_value, is_called FROM {}").format(
                        sql.Identifier(schema, name)
                    )
                ).fetchall()
    return seen


def beside(path: Path) -> dict[str, bytes]:
    """The bytes of a source and of all that lies beside it, except SQLite's shared memory."""
    return {
        file.name: b"" if file.name.endswith("-shm") else file.read_bytes()
        for file in sorted(path.parent.iterdir())
        if file.is_file()
    }
