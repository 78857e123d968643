"""Whatever is translated means the same: random expressions, worked out on both sides."""

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from .program import Program

COLUMNS = {
    "i": ("INTEGER", [0, 1, -1, 5, 7, 2**31 - 1, None]),
    "k": ("INTEGER", [2, 3, 0, -4, None]),
    "big": ("BIGINT", [2**40, -5, 0, 2**53 + 1, None]),
    "f": ("REAL", [0.0, -1.5, 2.5, 1e10, 0.125, None, 7.0]),
    "g": ("REAL", [3.25, -0.5, 0.0078125, None]),
    "n": ("NUMERIC", [1, 2.5, -3, 0, None, 10.25]),
    "s": ("TEXT", ["", "a", "A", "abc", "ABC", " x ", "é", "É", "10", "%", "_b", "a%b", None, "\\", "'"]),
    "u": ("TEXT COLLATE NOCASE", ["a", "A", "b", "é", "É", "", None, "x y", "_"]),
    "r": ("TEXT COLLATE RTRIM", ["a", "a  ", "b ", "", None]),
    "b": ("BOOLEAN", [0, 1, None]),
    "d": ("DATE", ["2020-01-01", "1999-12-31", None]),
    "ts": ("DATETIME", ["2020-01-01 00:00:00", "2020-01-01 10:20:30.000001", None]),
    "bl": ("BLOB", [b"", b"a", b"\x00\xff", None]),
    "x": ("INTEGER_OR_TEXT", [1, "1a", "zz", 20, None, "-3"]),
    "untyped": ("", [1, 2.5, "t", None]),
}  # fmt: skip


class Generator:
    """Expressions of a kind; now and then of any other."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def any(self, depth: int) -> str:
        kinds = [self.number, self.text, self.truth, lambda _: self.pick(*COLUMNS)]
        return self.random.choice(kinds)(depth)

    def of(self, kind: Callable[[int], str], depth: int) -> str:
        return kind(depth) if self.random.random() < 0.95 else self.any(depth)

    def number(self, depth: int) -> str:
        if depth <= 0:
            return self.pick("i", "k", "big", "f", "g", "n", "id", "0", "1", "-1", "5", "2.5", "b")
        a, b = self.of(self.number, depth - 1), self.of(self.number, depth - 1)
        text, truth = self.of(self.text, depth - 1), self.of(self.truth, depth - 1)
        return self.pick(
            f"{a} {self.pick('+', '-', '*', '/', '%', '&', '|')} {b}",
            f"({a} {self.pick('+', '-', '*', '/', '%')} {b})",
            f"abs({a})", f"-{a}", f"length({text})", f"coalesce({a}, {b})", f"nullif({a}, {b})",
            f"CASE WHEN {truth} THEN {a} ELSE {b} END", f"iif({truth}, {a}, {b})",
            f"instr({text}, {self.text(0)})", f"CAST({a} AS {self.pick('INTEGER', 'REAL')})", f"({truth})",
            f"{self.pick('max', 'min')}({a}, {b})", f"{self.pick('max', 'min')}(b, {a}, {b})",
        )  # fmt: skip

    def text(self, depth: int) -> str:
        if depth <= 0:
            return self.pick(
                "s", "u", "r", "s", "'a'", "'A'", "''", "'%'", "'É'", '"quoted"', "'10'"
            )
        a, b = self.of(self.text, depth - 1), self.of(self.text, depth - 1)
        number = self.of(self.number, depth - 1)
        return self.pick(
            f"{a} || {b}", f"({a} || {number})", f"lower({a})", f"upper({a})", f"trim({a})", f"ltrim({a})",
            f"substr({a}, {self.pick('1', '2')}, {self.pick('0', '1', '2')})", f"replace({a}, {b}, 'z')",
            f"coalesce({a}, {b})", f"nullif({a}, {b})", f"CASE {a} WHEN {b} THEN 'x' ELSE {a} END",
            f"CAST({number} AS TEXT)", f"typeof({self.any(0)})", f"({a} COLLATE NOCASE)",
            f"{self.pick('max', 'min')}({a}, {b})", self.moment(), f"hex({self.pick('bl', a)})",
        )  # fmt: skip

    def moment(self) -> str:
        column, kind = self.pick("d", "ts"), self.pick("%Y-%m", "%H:%M:%S", "%j", "%d of %m", "%s")
        name = self.pick("date", "time", "datetime")
        return self.pick(
            f"strftime('{kind}', {column})", f"date({column})", f"max({column}, {column})",
            f"{name}({self.pick('i', 'big', 'k', 'f')}, 'unixepoch')", f"min(d, '{kind}')",
        )  # fmt: skip

    def truth(self, depth: int) -> str:
        sign = self.pick("=", "<>", "<", ">", "<=", ">=", "IS", "IS NOT", "==")
        if depth <= 0:
            return self.pick(
                "b", "NOT b", f"x {sign} 1", f"x {sign} 'zz'", f"d {sign} '2020-01-01'",
                f"ts {sign} '2020-01-01'", f"bl {sign} x'61'", f"s {sign} 10", f"i {sign} '5'", f"x {sign} k",
            )  # fmt: skip
        kind = self.random.choice([self.number, self.text])
        a, b, c = (self.of(kind, depth - 1) for _ in range(3))
        one, other = self.of(self.truth, depth - 1), self.of(self.truth, depth - 1)
        text = self.of(self.text, depth - 1)
        return self.pick(
            f"{a} {sign} {b}", f"({a} {sign} {b})", f"{one} AND {other}", f"({one} OR {other})", f"NOT {one}",
            f"({self.any(depth - 1)}) IS NULL", f"({self.any(0)} IS NOT NULL)", f"{a} BETWEEN {b} AND {c}",
            f"{a} IN ({b}, {c})", f"({a} NOT IN ({b}, NULL))", f"{a} {sign} {b} COLLATE NOCASE",
            f"{text} LIKE '{self.pick('%a%', 'A_', '_', '%', 'abc', 'É%', '!%b')}'",
            f"({text} LIKE '{self.pick('%!%%', '!_b')}' ESCAPE '!')",
            f"({text} GLOB '{self.pick('a*', '[A-Z]*', '?', '*', '[^a]*', '%')}')",
        )  # fmt: skip

    def select(self) -> str:
        value = self.any(self.random.choice([1, 2, 2, 3]))
        if self.random.random() < 0.5:
            return f"SELECT id, {value} AS v FROM t"
        if self.random.random() < 0.5:
            return f"SELECT id FROM t WHERE {self.truth(2)}"
        number = self.number(1)
        return (
            f"SELECT {value} AS v, count(*) AS c, sum({number}) AS s, min({self.text(0)}) AS l,"
            f" max({number}) FILTER (WHERE {self.truth(1)}) AS m, count(DISTINCT {number}) AS n,"
            f" {self.pick('count(*)', f'sum({number})')} FILTER (WHERE {self.truth(1)}) AS o"
            f" FROM t GROUP BY 1"
            f" HAVING {self.truth(1) if self.random.random() < 0.1 else 'count(*) > 0'}"
        )


def fill(path: Path, seed: int, views: int) -> dict[str, str]:
    generator = Generator(seed)
    connection = sqlite3.connect(path)
    declared = ", ".join(f"{name} {kind}" for name, (kind, _) in COLUMNS.items())
    connection.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {declared})")
    marks = ", ".join("?" * (len(COLUMNS) + 1))
    for number in range(40):
        row = [generator.random.choice(values) for _, values in COLUMNS.values()]
        connection.execute(f"INSERT INTO t VALUES ({marks})", [number, *row])
    texts: dict[str, str] = {}
    while len(texts) < views:
        text, name = generator.select(), f"v{len(texts)}"
        try:
            connection.execute(f"CREATE VIEW {name} AS {text}")
            connection.execute(f"SELECT * FROM {name}").fetchall()
        except sqlite3.Error:
            connection.execute(f"DROP VIEW IF EXISTS {name}")
            continue
        texts[name] = text
    connection.commit()
    connection.close()
    return texts


SLOW = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 40)]


@pytest.mark.parametrize("seed", [1, 2, *SLOW])
def test_what_is_translated_means_the_same(program: Program, tmp_path: Path, seed: int) -> None:
    texts = fill(tmp_path / "e.db", seed, views=150)
    result = program.run(tmp_path / "e.db")
    assert result.code == 0, result.error
    refused = {u["name"]: u["reason"] for u in result.report["uncarried"]}
    wrong = [
        f"{reason}: {texts[name]}"
        for name, reason in refused.items()
        # a view that is refused beforehand is fine, one that is found out afterwards is not
        if reason.startswith(("it gives ", "it can't be read", "PostgreSQL says"))
        # SQLite takes any row of the group then
        and "must appear in the GROUP BY" not in reason
        # SQLite goes on with a float; only the values say whether it comes to that
        and "bigint out of range" not in reason
    ]
    assert not wrong, "\n".join(wrong)
    assert len(texts) - len(refused) > 60  # it is not enough to refuse everything
