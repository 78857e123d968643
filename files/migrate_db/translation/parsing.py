"""SQLite's SQL as a tree: sqlglot parses, and what it might read in another way is refused."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

from migrate_db import sql
from migrate_db.errors import Untranslated
from migrate_db.sqlite import declaration

try:
    import sqlglot
    from sqlglot import exp as exp
    from sqlglot.errors import SqlglotError

    # what can't be parsed is reported by us
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    #: Operators, and what they are in PostgreSQL.
    SIGNS: dict[type, str] = {
        exp.EQ: "=",
        exp.NEQ: "<>",
        exp.GTE: ">=",
        exp.GT: ">",
        exp.LTE: "<=",
        exp.LT: "<",
        exp.NullSafeEQ: "IS NOT DISTINCT FROM",
        exp.NullSafeNEQ: "IS DISTINCT FROM",
    }
    ARITHMETIC: dict[type, str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*"}
    BITS: dict[type, str] = {exp.BitwiseAnd: "&", exp.BitwiseOr: "|"}
    #: What binds in another order in SQLite than for the parser, unless it is in parentheses.
    _PREDICATES = (*SIGNS, exp.Is, exp.In, exp.Between, exp.Like, exp.Glob, exp.Escape)
except ImportError:  # a preview on a bare host runs without third-party packages
    sqlglot = exp = None  # type: ignore[assignment]
    SIGNS, ARITHMETIC, BITS, _PREDICATES = {}, {}, {}, ()

#: What the parser notes down for other dialects.
_IRRELEVANT = {"safe", "typed", "big_int", "_type", "ignore_nulls"}
#: Words behind which a plus is a sign.
_BEFORE_A_SIGN = {
    *"(,=<>!+-*/%|&~", "AND", "OR", "NOT", "IS", "LIKE", "GLOB", "BETWEEN", "WHEN", "THEN", "ELSE", "CASE",
    "SELECT", "WHERE", "HAVING", "BY", "ON", "DISTINCT", "ALL", "IN", "ESCAPE", "LIMIT", "OFFSET",
}  # fmt: skip

NOT_UTF8 = "it has bytes that are not UTF-8"

_P = ParamSpec("_P")
_T = TypeVar("_T")


def shallow(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Where an expression is nested deeper than Python can follow, it is not translated."""

    @wraps(function)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return function(*args, **kwargs)
        except RecursionError:
            raise Untranslated("it is nested too deeply") from None

    return guarded


def columns_in(text: str) -> set[str]:
    """Names of the columns that an expression reads, folded."""
    return {sql.folded(node.name) for node in parse(text).find_all(exp.Column)}


@lru_cache(maxsize=64)  # a tree is large
def parse(text: str) -> exp.Expr:
    """One expression as SQLite writes it.

    Raises:
        Untranslated: it can't be parsed.
    """
    select = query(f"SELECT {text}")  # alone, replace() would be a statement
    if not isinstance(select, exp.Select) or len(select.expressions) != 1:
        raise Untranslated("it can't be parsed")
    node: exp.Expr = select.expressions[0]
    return node


def query(text: str) -> exp.Expr:
    """A SELECT as SQLite writes it.

    Raises:
        Untranslated: it can't be parsed.
    """
    if sqlglot is None:
        raise Untranslated("the run itself will tell; sqlglot is not installed here")
    _demand_legible(text)
    try:
        tree: exp.Expr = sqlglot.parse_one(text, read="sqlite")
    except (SqlglotError, RecursionError):
        raise Untranslated("it can't be parsed") from None
    return tree


def _demand_legible(text: str) -> None:
    """Refuse what sqlglot reads as something else.

    It forgets a ``+`` before a value, which takes away its affinity, knows no difference between
    ``mod(a, b)`` and ``a % b``, and takes STRING for TEXT.
    """
    if "\ufffd" in text:
        raise Untranslated(NOT_UTF8)
    words = [token.word for token in declaration.tokens(text)]
    for before, word, after in zip(["(", *words], words, [*words[1:], ""], strict=False):
        sign = word == "+" and before in _BEFORE_A_SIGN
        function = (word, after) == ("MOD", "(")
        number = before == "AS" and word in ("STRING", "STR") and after == ")"
        if sign or function or number:
            raise Untranslated(f"{word} may mean something else in PostgreSQL")


def only(node: exp.Expr, *known: str) -> None:
    """Refuse a node that says more than its handler reads."""
    said = {key for key, value in node.args.items() if value not in (None, False, [])}
    if said - set(known) - _IRRELEVANT:
        raise unsure(node)


def binds_otherwise(node: exp.Expr) -> bool:
    inner = list(node.iter_expressions())
    if isinstance(node, exp.Escape):
        inner = list(node.this.iter_expressions())
    if isinstance(node, _PREDICATES):
        return any(isinstance(child, (*_PREDICATES, exp.Not)) for child in inner)
    if isinstance(node, exp.Binary) and isinstance(node, tuple(BITS)):
        others = (exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseLeftShift, exp.BitwiseRightShift)
        return any(isinstance(c, others) and type(c) is not type(node) for c in inner)
    return False


def is_worked_out(node: exp.Expr) -> bool:
    """Whether a part could be replaced by its value."""
    computes = isinstance(node, (exp.Func, exp.Binary, exp.Unary, exp.Predicate))
    plain = isinstance(node, (exp.Neg, exp.Paren, exp.Collate)) or node.find(exp.Column)
    return computes and not plain


def unsure(node: exp.Expr) -> Untranslated:
    """The usual reason."""
    return Untranslated(f"{node.sql(dialect='sqlite')} may mean something else in PostgreSQL")


def bare(text: str) -> str:
    """Without the parentheses around all of it; a query needs its own."""
    while re.match(r"\((?!SELECT |WITH )", text) and text.endswith(")") and _balanced(text[1:-1]):
        text = text[1:-1]
    return text


def _balanced(text: str) -> bool:
    depth = 0
    quote = ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        else:
            depth += (letter == "(") - (letter == ")")
            if depth < 0:
                return False
    return depth == 0
