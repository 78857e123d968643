"""One Python file, by its syntax tree. What only SQLite gets is nobody's concern."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app_check import sql
from app_check.finding import ADVICE, ERROR, Finding

_SQLITE, _POSTGRES = re.compile(r"sqlite", re.I), re.compile(r"postgres|psycopg|asyncpg", re.I)
_LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass
class Seen:
    """What all files together have to show."""

    findings: list[Finding] = field(default_factory=list)
    reads_url: bool = False  #: DATABASE_URL, from the environment or from settings
    asks_database: bool = False  #: there is an engine, or a connection
    first_engine: tuple[str, int] = ("", 0)
    texts: set[str] = field(default_factory=set)  #: texts that may be paths of the API


def look(file: str, source: str, seen: Seen, imported: frozenset[str] = frozenset()) -> None:
    """Add what one file says; ``imported`` are the names that any file of the app imports."""
    try:
        tree = ast.parse(source, filename=file)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", 0) or 0
        seen.findings.append(
            Finding(file, line, "syntax", ADVICE, f"can't be read: {error}", "Python 3 that runs")
        )
        return
    script = _is_script(tree) and Path(file).stem not in imported
    reader = _Reader(file, seen)
    reader.walk(tree, guarded=script)
    for node in ast.walk(tree) if script else ():
        if isinstance(node, ast.Call) and _dotted(node.func) == "sqlite3.connect":
            reader.say(
                node, "script", "a script that works on a SQLite file, whatever DATABASE_URL says",
                "nothing, if that is what it is for", ADVICE,
            )  # fmt: skip


def imports(source: str) -> set[str]:
    """Names that a file imports, without what is before their last dot."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return set()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found.add((node.module or "").rpartition(".")[2])
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {alias.name.rpartition(".")[2] for alias in node.names}
    return found


class _Reader:
    """Walks a tree and remembers whether it is in a place that only SQLite comes to."""

    def __init__(self, file: str, seen: Seen) -> None:
        self.file, self.seen = file, seen

    def walk(self, node: ast.AST, guarded: bool) -> None:
        """A node and what is in it."""
        if not guarded:
            self._judge(node)
        self._note(node)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            guarded = guarded or _SQLITE.search(node.name) is not None
        if isinstance(node, (ast.If, ast.IfExp)):
            yes, no = _sides(node.test)
            self.walk(node.test, True)
            self._all(node.body, guarded or yes)
            self._all(node.orelse, guarded or no)
            return
        for name, value in ast.iter_fields(node):
            if isinstance(node, ast.JoinedStr):  # its texts were judged as one
                self._all([part for part in node.values if _text(part) == ""], guarded)
            elif isinstance(value, list):
                docstring = name == "body" and _has_docstring(node)
                self._all(value[1:] if docstring else value, guarded)
            elif isinstance(value, ast.AST):
                self.walk(value, guarded)

    def _all(self, found: ast.AST | Sequence[ast.AST], guarded: bool) -> None:
        if isinstance(found, ast.AST):
            self.walk(found, guarded)
            return
        for node in found:
            if not isinstance(node, ast.AST):
                continue
            self.walk(node, guarded)
            # `if postgres: return ...` leaves the rest to SQLite
            if isinstance(node, ast.If) and node.body and isinstance(node.body[-1], _LEAVES):
                guarded = guarded or _sides(node.test)[1]

    def say(self, node: ast.AST, rule: str, what: str, instead: str, level: str = ERROR) -> None:
        line = getattr(node, "lineno", 0)
        self.seen.findings.append(Finding(self.file, line, rule, level, what, instead))

    # -- what is said once for all files --------------------------------------------------------

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.seen.texts.add(node.value)
            self.seen.reads_url |= node.value == "DATABASE_URL"
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            # pydantic's settings read the environment by the name of the field
            self.seen.reads_url |= node.target.id.lower() == "database_url"
        elif isinstance(node, ast.Call) and _called(node) in (
            "create_engine",
            "create_async_engine",
            "connect",
        ):
            self.seen.asks_database = True
            if not self.seen.first_engine[1] and _called(node) != "connect":
                self.seen.first_engine = (self.file, node.lineno)

    # -- what is wrong where it stands ----------------------------------------------------------

    def _judge(self, node: ast.AST) -> None:
        if isinstance(node, ast.Dict):
            for key in node.keys:
                if isinstance(key, ast.Constant) and key.value == "check_same_thread":
                    self._thread(key)
        elif isinstance(node, ast.keyword) and node.arg == "check_same_thread":
            self._thread(node.value)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            self._import(node)
        elif isinstance(node, ast.Call):
            self._call(node)
        elif (text := _text(node)) and sql.is_sql(text):
            for what, instead in sql.in_statement(text):
                self.say(node, "sqlite-sql", f"{what} in SQL", instead)

    def _thread(self, node: ast.AST) -> None:
        self.say(
            node,
            "check-same-thread",
            "check_same_thread goes to PostgreSQL, too, whose driver refuses it",
            'connect_args={"check_same_thread": False} if url.startswith("sqlite") else {}',
        )

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        names = [alias.name for alias in node.names]
        module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        if module.startswith("sqlalchemy.dialects.sqlite"):
            self.say(
                node,
                "sqlite-import",
                f"{', '.join(names)} of SQLite's dialect",
                "the same from sqlalchemy, or from sqlalchemy.dialects.postgresql on PostgreSQL",
            )

    def _call(self, node: ast.Call) -> None:
        name = _called(node)
        if _dotted(node.func) in ("sqlite3.connect", "aiosqlite.connect"):
            self.say(
                node, "sqlite-import", f"{_dotted(node.func)}() goes past DATABASE_URL",
                "the app's engine, which knows which database it is on",
            )  # fmt: skip
        if _dotted(node.func).split(".")[-2:-1] == ["func"] and (instead := sql.in_function(name)):
            self.say(node, "sqlite-function", f"func.{name}() is SQLite's", instead)
        if name == "like":
            self.say(
                node, "like", "like() ignores case on SQLite, and does not on PostgreSQL",
                "ilike(), which ignores it on both", ADVICE,
            )  # fmt: skip
        if name in ("limit", "offset"):
            chain = list(_chain(node))
            # once for a statement: limit(...) of offset(...) is the same one
            if "order_by" not in chain and not {"limit", "offset"} & set(chain):
                self.say(
                    node, "order-by", f"{name}() without order_by(): PostgreSQL gives any rows",
                    "order_by(Model.id) before it", ADVICE,
                )  # fmt: skip


def _is_script(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.If) and "__name__" in ast.unparse(node.test) for node in tree.body
    )


def _sides(test: ast.expr) -> tuple[bool, bool]:
    """Whether the body, and the else, of a condition is SQLite's alone."""
    text = ast.unparse(test)
    sqlite, postgres = _SQLITE.search(text) is not None, _POSTGRES.search(text) is not None
    if sqlite == postgres:  # neither, or both
        return False, False
    negated = re.search(r"!=|\bnot\b", text) is not None
    body = sqlite != negated
    return body, not body


def _text(node: ast.AST) -> str:
    """A text, or what of an f-string is known."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "x" for part in node.values)
    return ""


def _called(node: ast.Call) -> str:
    return _dotted(node.func).rpartition(".")[2]


def _dotted(node: ast.AST) -> str:
    """``a.b.c``; what isn't a name is left out."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _chain(node: ast.Call) -> Iterator[str]:
    """Names of the methods before this one: ``select(x).order_by(y).limit(1)`` -> order_by, select."""
    inner: ast.AST = node.func
    while True:
        if isinstance(inner, ast.Attribute):
            inner = inner.value
        elif isinstance(inner, ast.Call):
            yield _called(inner) or getattr(inner.func, "attr", "")
            inner = inner.func
        else:
            return


def _has_docstring(node: ast.AST) -> bool:
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, holders) and ast.get_docstring(node, clean=False) is not None
