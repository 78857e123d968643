"""What a column becomes: its declared type is a hint, its values decide, nothing is changed."""

from pathlib import Path
from typing import Any

import pytest

from .program import Program, ask, sqlite

KINDS: list[tuple[str, list[Any], str]] = [
    ("INTEGER", [1, 2**31 - 1], "integer"),
    ("INTEGER", [2**31], "bigint"),
    ("INTEGER", [2**63 - 1, 1.5], "numeric"),
    ("INTEGER", ["12 apples", 7], "text"),
    ("UNSIGNED BIG INT", [2**63 - 1], "bigint"),
    ("INT8", [1], "bigint"),
    ("TINYINT(1)", [1], "smallint"),
    ("BOOLEAN", [0, 1, None], "boolean"),
    ("BOOLEAN", [0, 2], "smallint"),
    ("BOOLEAN", ["true", "false"], "boolean"),
    ("DOUBLE PRECISION", [1.5, 2.0], "double precision"),
    ("FLOATING POINT", [1.5, 2.0], "double precision"),
    ("NUMERIC(10,2)", [1, 2.25], "numeric(10,2)"),
    ("NUMERIC(4,2)", [1.125], "numeric"),
    ("DECIMAL(5,-2)", [1.5], "numeric"),
    ("NUMERIC(5000)", [1.5], "numeric"),
    ("MONEY", [1.5, 2], "double precision"),
    ("YEAR", [], "bigint"),
    ("BIT", [1, 0], "bigint"),
    ("NVARCHAR(3)", ["äöü"], "character varying(3)"),
    ("NVARCHAR(3)", ["four"], "text"),
    ("VARCHAR(4294967295)", ["x"], "text"),
    ("LONGVARCHAR", ["x"], "text"),
    ("CHAR(3)", ["x  "], "character varying(3)"),
    ("GUID", ["x"], "text"),
    ("STRING", [], "text"),
    ("STRING", ["x", 1], "text"),
    ('"ENUM(a,b)"', [], "text"),
    ("", [], "text"),
    ("", [1, 2], "bigint"),
    ("VARBINARY(16)", [], "bytea"),
    ("DATETIME", ["2024-01-01 10:00:00", "2024-01-01T10:00:00.123456"], "timestamp without time zone"),
    ("DATETIME", ["2024-01-01 10:00:00.1234567"], "text"),  # a digit would be lost
    ("DATETIME", ["2024-01-01 10:00:00Z"], "timestamp with time zone"),
    ("DATETIME", ["2024-01-01 10:00:00+02:00"], "text"),  # the offset would be lost
    ("DATETIME2(7)", ["2024-01-01 10:00:00"], "timestamp without time zone"),
    ("TIMESTAMP WITH TIME ZONE", [], "timestamp with time zone"),
    ("DATETIME", [1700000000], "bigint"),
    ("DATE", ["2024-02-29"], "date"),
    ("DATE", ["2024-02-30"], "text"),
    ("DATE", [""], "text"),
    ("JSON", ['{"a": 1e400, "b": "\\u0000"}'], "json"),
    ("JSON", ["{broken"], "text"),
    ("UUID", ["00112233445566778899aabbccddeeff"], "uuid"),
]  # fmt: skip


def test_every_kind(program: Program, tmp_path: Path) -> None:
    columns = ", ".join(f"c{n} {declared}" for n, (declared, _, _) in enumerate(KINDS))
    rows = [(f"INSERT INTO t (c{n}) VALUES (?)", [(v,) for v in values])
            for n, (_, values, _) in enumerate(KINDS)]  # fmt: skip
    source = sqlite(tmp_path / "t.db", f"CREATE TABLE t (id INTEGER PRIMARY KEY, {columns})", *rows)
    result = program.run(source)
    assert result.code == 0, result.out
    types = [
        kind
        for (kind,) in ask(
            program.url,
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = 't'::regclass AND attnum > 1 ORDER BY attnum",
        )
    ]
    assert [
        f"{declared} {values}: {found}, not {wanted}"
        for (declared, values, wanted), found in zip(KINDS, types, strict=True)
        if found != wanted
    ] == []


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["2024-01-01 00:00:00 +0000 UTC", "2024-01-01 00:00:00.5 +0000 GMT m=+0.000000001",
          "2024-01-01T00:00:00Z"], "timestamp with time zone"),
        (["2024-01-01 00:00:00 +0000 UTC", "2024-07-01 00:00:00 +0200 CEST"], "text"),
        (["2024-01-01 00:00:00.123456789 +0000 UTC"], "text"),
        (["2024-01-01 00:00:00 +0000 UTC", "2024-01-01 00:00:00 +0000 noon"], "text"),
    ],
)  # fmt: skip
def test_moments_as_go_writes_them(
    program: Program, tmp_path: Path, values: list[str], kind: str
) -> None:
    """The name of UTC and a clock without a date are told to be dropped; an offset isn't."""
    source = sqlite(tmp_path / "t.db", "CREATE TABLE t (x datetime)",
                    ("INSERT INTO t VALUES (?)", [(v,) for v in values]))  # fmt: skip
    done = program.run(source)
    assert done.code == 0
    assert ask(program.url, "SELECT pg_typeof(x)::text FROM t LIMIT 1") == [(kind,)]
    told = [note for note in done.report["notes"] if "m=…" in note]
    assert len(told) == (kind != "text")


@pytest.mark.parametrize(
    ("declared", "values", "unit"),
    [
        ("DATETIME", [1_600_000_000, 1_700_000_000.5], "s"),
        ("TIMESTAMP", [1_600_000_000_000], "ms"),
        ("DATE", [2_460_000.5], "julian"),
        ("DATETIME", [7], ""),
        ("INTEGER", [1_600_000_000], ""),
    ],
)
def test_numbers_that_seem_to_be_times(
    program: Program, tmp_path: Path, declared: str, values: list[Any], unit: str
) -> None:
    source = sqlite(tmp_path / "t.db", f"CREATE TABLE t (x {declared})",
                    ("INSERT INTO t VALUES (?)", [(v,) for v in values]))  # fmt: skip
    wishes = tmp_path / "m.yml"
    result = program("plan", source, "--write-mapping", wishes, url="none")
    said = [note for note in result.report["notes"] if "epoch" in note]
    assert len(said) == (1 if unit else 0)
    assert not unit or (f"`epoch: {unit}`" in said[0] and f"epoch: {unit}`" in wishes.read_text())
    assert program.run(source, "--mapping", wishes).report["converted"] == [], "a hint, no wish"


@pytest.mark.parametrize(
    ("declared", "values", "seems"),
    [
        ("TINYINT(1)", [0, 1, None], True),
        ("bit", [1], True),
        ("TINYINT(1)", [0, 2], False),
        ("TINYINT", [0, 1], False),
        ("INTEGER", [0, 1], False),
        ("TINYINT(1)", [], False),
    ],
)
def test_numbers_that_seem_to_be_true_and_false(
    program: Program, tmp_path: Path, declared: str, values: list[Any], seems: bool
) -> None:
    """As Sequelize, MySQL and SQL Server declare them."""
    source = sqlite(tmp_path / "t.db", f"CREATE TABLE t (x {declared} DEFAULT 0)",
                    ("INSERT INTO t VALUES (?)", [(v,) for v in values]))  # fmt: skip
    wishes = tmp_path / "m.yml"
    result = program("plan", source, "--write-mapping", wishes, url="none")
    hint = "`type: boolean`"
    assert any(hint in note for note in result.report["notes"]) is seems
    assert (hint in wishes.read_text()) is seems
    if seems:
        wishes.write_text("tables: {t: {columns: {x: {type: boolean}}}}")
        assert program.run(source, "--mapping", wishes, "--allow-empty").code == 0
        assert set(ask(program.url, "SELECT x FROM t")) == {
            (v if v is None else bool(v),) for v in values
        }


def test_a_key_and_its_parent_get_one_type(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "t.db",
        "CREATE TABLE p (code VARCHAR(9) PRIMARY KEY);"
        "CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p(code));"
        "INSERT INTO p VALUES ('7'), ('8'); INSERT INTO c VALUES (1, 7), (2, 8), (3, NULL);"
        # this parent numbers itself, which is worth more than the key
        "CREATE TABLE n (id INTEGER PRIMARY KEY); CREATE TABLE d (n TEXT REFERENCES n(id));"
        "INSERT INTO n VALUES (1); INSERT INTO d VALUES ('1')",
    )
    result = program.run(source)
    assert result.code == 0, result.out
    assert ask(program.url, "SELECT conrelid::regclass::text, convalidated FROM pg_constraint"
                            " WHERE contype = 'f'") == [("c", True)]  # fmt: skip
    assert any("c.p: becomes text, because the foreign key" in n for n in result.report["notes"])
    assert [u["kind"] for u in result.report["uncarried"]] == ["foreign key"]


def test_numbers_of_json_that_no_numeric_holds(program: Program, tmp_path: Path) -> None:
    """Written out, the first would have a billion digits."""
    ask(program.url, "CREATE TABLE t (id int PRIMARY KEY, v jsonb)")
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);"
        "INSERT INTO t VALUES (1, '[1e999999999]'), (2, '1e-16384'), (3, '1e131072'),"
        " (4, '1e131071'), (5, '1e-16383'), (6, '0e200000'), (7, '1e99999999999999999999')",
    )
    result = program.run(source)
    assert result.code == 1
    assert [key for _, key, _ in result.findings] == [f"id={n}" for n in (1, 2, 3, 7)]
    kept = program.run(source, "--on-finding", "quarantine")
    assert (kept.code, ask(program.url, "SELECT count(*) FROM t")) == (3, [(3,)])
