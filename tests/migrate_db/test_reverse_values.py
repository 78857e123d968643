"""A value comes back as the app itself would have written it into this very file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .home import Home, stored
from .program import Program, ask, fetch, sqlite

U1, U2 = "0f8fad5b-d9cb-469f-a165-70867728950e", "7c9e6679-7425-40de-944b-e07fc1f90ae7"


@dataclass(frozen=True)
class Column:
    """Values of a column at the cut-over, what PostgreSQL got since, and what is stored then."""

    declared: str
    before: list[Any]
    written: dict[str, Any]  #: SQL on PostgreSQL: what SQLite holds
    wish: dict[str, str] = field(default_factory=dict)


DAY, HOUR = "2026-01-31", "09:05:07"
COLUMNS = {
    "sqlalchemy": Column("DATETIME", [f"{DAY} {HOUR}.000250", f"{DAY} {HOUR}.000000"], {
        f"'{DAY} 10:00:00'": f"{DAY} 10:00:00.000000", f"'{DAY} 10:00:00.5'": f"{DAY} 10:00:00.500000",
    }),
    "empty_moment": Column("DATETIME", [], {f"'{DAY} 10:00:00'": f"{DAY} 10:00:00.000000"}),
    "by_sqlite": Column("TIMESTAMP", [f"{DAY} {HOUR}"], {
        f"'{DAY} 10:00:00'": f"{DAY} 10:00:00", f"'{DAY} 10:00:00.25'": f"{DAY} 10:00:00.250000",
    }),
    "by_python": Column("DATETIME", [f"{DAY} {HOUR}", f"{DAY} {HOUR}.123456"], {
        f"'{DAY} 10:00:00'": f"{DAY} 10:00:00", f"'{DAY} 10:00:00.25'": f"{DAY} 10:00:00.250000",
    }),
    "with_t": Column("DATETIME", [f"{DAY}T{HOUR}", f"{DAY}T{HOUR}.5"], {
        f"'{DAY} 10:00:00'": f"{DAY}T10:00:00", f"'{DAY} 10:00:00.5'": f"{DAY}T10:00:00.5",
        f"'{DAY} 10:00:00.25'": f"{DAY}T10:00:00.250000",
    }),
    "javascript": Column("TIMESTAMPTZ", [f"{DAY}T{HOUR}.000Z"], {
        f"'{DAY} 10:00:00+02'": f"{DAY}T08:00:00.000Z", f"'{DAY} 10:00:00.125Z'": f"{DAY}T10:00:00.125Z",
        f"'{DAY} 10:00:00.1256Z'": f"{DAY}T10:00:00.125600Z",
    }),
    "go": Column("datetime", [f"{DAY} {HOUR} +0000 UTC", f"{DAY} {HOUR}.5 +0000 UTC m=+0.000000001"], {
        f"'{DAY} 10:00:00+02'": f"{DAY} 08:00:00 +0000 UTC", f"'{DAY} 10:00:00.5Z'": f"{DAY} 10:00:00.5 +0000 UTC",
    }),
    "zone_of_go": Column("datetime", [f"{DAY} {HOUR} +0100 CET"], {
        f"'{DAY} 10:00:00+02'": f"{DAY} 08:00:00 +0000 UTC",
    }, {"type": "timestamptz"}),
    "misfits": Column("datetime", [f"{DAY} {HOUR}.123456789 +0100 CET"], {
        f"'{DAY} 10:00:00Z'": f"{DAY} 10:00:00.000000+00:00",
    }, {"type": "timestamptz", "misfit": '"null"'}),
    "django": Column("DATETIME", [f"{DAY} {HOUR}.000250"], {
        f"'{DAY} 10:00:00+02'": f"{DAY} 08:00:00.000000",
    }, {"type": "timestamptz", "zone": "utc"}),
    "seconds": Column("INTEGER", [1769850307], {"'2026-01-31 10:00:00Z'": 1769853600,
                      "'2026-01-31 10:00:00.5Z'": 1769853600.5}, {"epoch": "s"}),
    "millis": Column("BIGINT", [1769850307123], {"'2026-01-31 10:00:00.125Z'": 1769853600125},
                     {"epoch": "ms"}),
    "fraction": Column("REAL", [1769850307.25], {"'2026-01-31 10:00:00Z'": 1769853600.0},
                       {"epoch": "s"}),
    "cocoa": Column("TIMESTAMP", [791543107], {"'2026-01-31 10:00:00Z'": 791546400}, {"epoch": "cocoa"}),
    "single": Column("REAL", [1.1, 0.5], {"2.2": 2.2, "16777217": 16777216.0},
                     {"type": "real", "round": "type"}),
    "cents": Column("DECIMAL", [10.000000000000002], {"2.20": 2.2}, {"type": '"numeric(10,2)"', "round": "type"}),
    "day": Column("DATE", ["2026-01-31"], {"'2024-02-29'": "2024-02-29"}),
    "midnight": Column("DATETIME", [f"{DAY} 00:00:00.000000"], {"'2024-02-29'": "2024-02-29 00:00:00.000000"},
                       {"type": "date"}),
    "digits": Column("DATE", [20260131], {"'2024-02-29'": 20240229}, {"type": "date"}),
    "capitals": Column("TEXT", [U1.upper()], {f"'{U2}'": U2.upper()}, {"type": "uuid"}),
    "clock": Column("TIME", ["09:05"], {"'10:00'": "10:00", "'10:00:07'": "10:00:07.000000"}),
    "empty_clock": Column("TIME", [], {"'10:00'": "10:00:00.000000"}),
    "flag": Column("BOOLEAN", [0, 1], {"true": 1, "false": 0}),
    "word": Column("BOOLEAN", ["false", "true"], {"true": "true", "false": "false"}),
    "empty_flag": Column("BOOLEAN", [], {"true": 1}),
    "uuid": Column("UUID", [U1], {f"'{U2}'": U2}),
    "uuid_plain": Column("UUID", [U1.replace("-", "")], {f"'{U2}'": U2.replace("-", "")}),
    "uuid_blob": Column("UUID", [bytes.fromhex(U1.replace("-", ""))],
                        {f"'{U2}'": bytes.fromhex(U2.replace("-", ""))}),
    "json": Column("JSON", ['{"b": 1, "a": 2}'], {
        """'{"z":1,"a":  [1.50, "ü \\u00e9"]}'""": '{"z":1,"a":  [1.50, "ü \\u00e9"]}',
        "'null'": "null", "'\"5\"'": '"5"', "'17'": 17, "'true'": "true"}),
    "price": Column("NUMERIC(12,4)", [1, 2.5], {"3": 3, "3.10": 3.1, "0.0001": 0.0001}),
    "any_number": Column("DECIMAL", [1, 2.5], {"1e15": 10**15, "0.1": 0.1}),
    "real": Column("REAL", [0.1], {"'Infinity'": float("inf"), "'-Infinity'": float("-inf"), "20": 20.0,
                   "5e-324": 5e-324}),
    "whole": Column("DECIMAL", [0.5], {"20": 20, "0.25": 0.25}),
    "big": Column("BIGINT", [2**63 - 1], {"-9223372036854775808": -(2**63)}),
    "text": Column("TEXT", ["a"], {"''": "", "'17'": "17", "E'tab\\t\\n ''\"\\\\ 日本 🙂 \\u0001'":
                   "tab\t\n '\"\\ 日本 🙂 \x01"}),
    "counted": Column("VARCHAR(9)", ["a"], {"'a '": "a "}),
    "blob": Column("BLOB", [b"\0\xff"], {"'\\x'": b"", "'\\x00ff27'": b"\0\xff'"}),
    "any": Column("", [1, 2, "x"], {"'17'": 17, "'y'": "y", "'017'": "017"}),
    "numbers_of_text": Column("INTEGER", [1, "x"], {"'17'": 17, "'y'": "y"}),
    "loose": Column("", [1.5, 2.5], {"3": 3.0}),
    "texts_among_bytes": Column("BLOB", ["ä", "b", b"\xff"], {"'\\xc3bc'": "ü", "'\\xfffe'": b"\xff\xfe"},
                                {"mixed": "bytes"}),
    "never_empty": Column("TEXT NOT NULL DEFAULT ''", [""], {"NULL": "", "'x'": "x"}, {"empty": "null"}),
}  # fmt: skip


@pytest.fixture
def home(program: Program, tmp_path: Path) -> Home:
    """One table for each column; every one with a row that stays."""
    source = tmp_path / "values.db"
    mapping = ["tables:"]
    for name, column in COLUMNS.items():
        sqlite(
            source,
            f'CREATE TABLE "{name}" (id INTEGER PRIMARY KEY, other TEXT, c {column.declared})',
            (f'INSERT INTO "{name}" (c) VALUES (?)', [(value,) for value in column.before]),
        )
        if column.wish:
            wishes = ", ".join(f"{key}: {value}" for key, value in column.wish.items())
            mapping += [f"  {name}:", f"    columns: {{c: {{{wishes}}}}}"]
    # the app's own model lets it be NULL
    ask(program.url, "CREATE TABLE never_empty (id serial PRIMARY KEY, other text, c text)")
    file = tmp_path / "mapping.yml"
    file.write_text("\n".join(mapping) + "\n")
    return Home(program, source, "--mapping", file)


def test_new_values_look_like_old_ones(home: Home) -> None:
    for name, column in COLUMNS.items():
        for number, literal in enumerate(column.written):
            home.write(f'INSERT INTO "{name}" (id, c) VALUES ({1000 + number}, {literal})')
    home.returned()
    wrong = []
    for name, column in COLUMNS.items():
        after = stored(home.into, name)
        assert {k: v for k, v in after.items() if k < 1000} == stored(home.kept, name)
        for number, (literal, wanted) in enumerate(column.written.items()):
            (got,) = fetch(home.into, f'SELECT c FROM "{name}" WHERE id = {1000 + number}')[0]
            if (type(got), got) != (type(wanted), wanted):
                wrong.append(f"{name}: {literal} is stored as {got!r}, not {wanted!r}")
    assert wrong == []


def test_only_what_changed_is_written_anew(home: Home) -> None:
    """A row whose other column changed keeps the spelling of its moment."""
    for name in COLUMNS:
        home.write(f"""UPDATE "{name}" SET other = 'x'""")
    done = home.returned()
    assert all(table["added"] == 0 for table in done.report["reversal"]["tables"])
    for name in COLUMNS:
        before, after = stored(home.kept, name), stored(home.into, name)
        assert {k: v[4:] for k, v in after.items()} == {k: v[4:] for k, v in before.items()}, name
        assert {v[3] for v in after.values()} <= {b"x"}


UNHELD = {
    "real": ("'NaN'", "no NaN"),
    "price": ("'NaN'", "no NaN"),
    "any_number": ("12345678901234567.125", "more digits"),
    "sqlalchemy": ("'infinity'", "no such moment"),
    "day": ("'10000-01-01'", "9999"),
    "with_t": ("'0044-03-15 BC'", "times"),
    "clock": ("'24:00'", "no such moment"),
    "numbers_of_text": ("'017'", "declared INTEGER"),
    "json": ("'1.50'", "declared JSON"),
}


def test_what_sqlite_cant_hold_is_named_first(home: Home) -> None:
    for name, (literal, _) in UNHELD.items():
        home.write(f'INSERT INTO "{name}" (id, c) VALUES (1000, {literal})')
    home.write('INSERT INTO "any_number" VALUES (1001, NULL, 18446744073709551616)')
    for words in (("--check-only",), ()):
        done = home.refused(*words)
        found = {(f["table"], f["key"]): f for f in done.report["reversal"]["uncarried"]}
        assert len(found) == len(UNHELD) + 1 == done.report["reversal"]["uncarried_count"]
        for name, (_, reason) in UNHELD.items():
            finding = found[name, "id=1000"]
            assert finding["column"] == "c" and reason in finding["reason"], finding
            assert (
                f'UPDATE \\"public\\".\\"{name}\\" SET \\"c\\" = … WHERE \\"id\\" = 1000'
                in (finding["resolve"])
            )
    for name in UNHELD:
        home.write(f'UPDATE "{name}" SET c = NULL WHERE id >= 1000')
    home.returned()
