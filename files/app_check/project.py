"""The app's directory: its Python files, what it installs, and how its image is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from app_check import code
from app_check.finding import ADVICE, ERROR, Finding

#: Not a part of what runs.
_ELSEWHERE = {"__pycache__", "node_modules", "venv", "site-packages", "tests", "test"}
_DRIVERS = re.compile(r"\b(psycopg2?|psycopg2-binary|asyncpg|pg8000)\b", re.IGNORECASE)
_INSTALLS = (
    "requirements*.txt",
    "pyproject.toml",
    "Pipfile",
    "setup.cfg",
    "setup.py",
    "environment.y*ml",
)


def check(directory: Path, dockerfile: str = "", health_path: str = "") -> list[Finding]:
    """Everything that is found, in the order of files and lines.

    Args:
        directory: the app's sources; nothing in it is imported or run.
        dockerfile: relative to it; empty: the image is not looked at.
        health_path: what the app has to answer at; empty: not looked for.
    """
    seen, files = code.Seen(), list(python_files(directory))
    sources = {
        str(path.relative_to(directory)): path.read_text(encoding="utf-8", errors="replace")
        for path in files
    }
    imported = frozenset(name for text in sources.values() for name in code.imports(text))
    for name, text in sources.items():
        code.look(name, text, seen, imported)
    return sorted(
        [
            *seen.findings,
            *_driver(directory),
            *_address(seen, bool(files)),
            *(_health(seen, health_path) if health_path else ()),
            *(_image(directory, dockerfile) if dockerfile else ()),
        ]
    )


def python_files(directory: Path) -> Iterator[Path]:
    """Those of the app itself, sorted."""
    for path in sorted(directory.rglob("*.py")):
        parts = path.relative_to(directory).parts
        if not any(part in _ELSEWHERE or part.startswith(".") for part in parts):
            yield path


def _driver(directory: Path) -> Iterator[Finding]:
    lists = [
        path
        for path in sorted(directory.rglob("*"))
        if path.is_file()
        and any(fnmatch(path.name, pattern) for pattern in _INSTALLS)
        and not any(
            part in _ELSEWHERE or part.startswith(".")
            for part in path.relative_to(directory).parts[:-1]
        )
    ]
    for path in lists:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if _DRIVERS.search(line.partition("#")[0]):
                return
    where = str(lists[0].relative_to(directory)) if lists else ""
    last = len(lists[0].read_text(encoding="utf-8", errors="replace").splitlines()) if lists else 0
    yield Finding(
        where,
        last,
        "driver",
        ERROR,
        "no PostgreSQL driver is installed" if lists else "nothing says what is installed",
        "a line psycopg[binary] in requirements.txt",
    )


def _address(seen: code.Seen, any_file: bool) -> Iterator[Finding]:
    if any_file and not seen.reads_url:
        file, line = seen.first_engine
        yield Finding(
            file,
            line,
            "database-url",
            ERROR,
            "nobody reads DATABASE_URL from the environment",
            'create_engine(os.environ["DATABASE_URL"]) when DB_TYPE is postgres',
        )


def _health(seen: code.Seen, path: str) -> Iterator[Finding]:
    wanted = path.partition("?")[0].rstrip("/")
    # a prefix and its rest may be in two places
    parts = [wanted[at:] for at, sign in enumerate(wanted) if sign == "/"] or [""]
    if not any(text.rstrip("/") in parts for text in seen.texts if text.startswith("/")):
        yield Finding(
            "",
            0,
            "health",
            ERROR,
            f"nothing answers at {path}, so nobody can tell whether a new version works",
            f'@app.get("{path}") that runs SELECT 1; another path: -e backend_health_path=/PATH',
        )


def _image(directory: Path, dockerfile: str) -> Iterator[Finding]:
    path = directory / dockerfile
    if not path.is_file():
        found = ", ".join(sorted(one.name for one in directory.glob("Dockerfile*"))) or "none"
        yield Finding(
            dockerfile,
            0,
            "dockerfile",
            ERROR,
            f"there is no such file; there is: {found}",
            "name it: -e deploy_dockerfile=NAME",
        )
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        # in a line that is a comment as a whole anything may stand
        if re.search(r"\\\s+#", line) and not line.lstrip().startswith("#"):
            yield Finding(
                dockerfile,
                number,
                "dockerfile-comment",
                ERROR,
                "a comment after a backslash becomes part of the command, and breaks the build",
                "the comment on a line of its own",
            )
    if "postgresql-client" not in text:
        yield Finding(
            dockerfile,
            0,
            "client",
            ADVICE,
            "the image has no psql and pg_dump",
            "apt-get install -y --no-install-recommends postgresql-client, if you want them at hand",
        )
