"""The operator's mapping: what it changes is listed, proved and remembered; the rest stays."""

import json
import sys
from pathlib import Path

import pytest

from .program import Program, ask, fetch, sqlite

DIRTY = """
CREATE TABLE parents (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO parents VALUES (1, 'one');
CREATE TABLE t (
    id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parents(id), name TEXT, note TEXT,
    raw TEXT, seen_at DATETIME, born TEXT, mixed BLOB, "yes" INT
);
INSERT INTO t VALUES
    (1, 1, 'plain', 'fine', 'é', 1700000000, '2001-02-03', x'00ff', 1),
    (2, 7, 'a' || char(0) || 'b', '', CAST(x'e9e8' AS TEXT), 1700000000.5, '', 'text', 2),
    (3, NULL, 'é' || char(0), NULL, CAST(x'ff' AS TEXT), NULL, NULL, 12.5, NULL);
CREATE TABLE keys (k TEXT PRIMARY KEY, v INT);
INSERT INTO keys VALUES ('a', 1), (NULL, 2), (NULL, 2);
CREATE TABLE loose (k PRIMARY KEY);
INSERT INTO loose VALUES (1), ('1');
CREATE TABLE once (u, UNIQUE (u));
INSERT INTO once VALUES (1), ('1'), (NULL), (NULL);
"""


@pytest.fixture
def dirty(tmp_path: Path) -> Path:
    return sqlite(tmp_path / "dirty.db", DIRTY)


def test_every_wish_is_done_listed_proved_and_remembered(
    program: Program, dirty: Path, tmp_path: Path
) -> None:
    assert program.run(dirty).code == 1
    wishes = tmp_path / "wishes.yml"
    wishes.write_text(
        """
        tables:
          T:  # SQLite's names have no case
            rename: things
            columns:
              parent_id: {orphans: null}
              name: {nul: strip, type: varchar(20)}
              note: {empty: null}
              raw: {invalid_utf8: latin1}
              seen_at: {epoch: s}
              born: {type: date, empty: null}
              mixed: {mixed: bytes}
              yes: {exclude: true}
          keys: {primary_key: unique}
          loose: {exclude: true}
          once: {unique: index}
        """
    )
    result = program.run(dirty, "--mapping", wishes)
    assert (result.code, result.verdict) == (0, "migrated"), result.out
    rows = ask(program.url, "SELECT * FROM things ORDER BY id")
    assert [row[1:4] for row in rows] == [
        (1, "plain", "fine"),
        (None, "ab", None),
        (None, "é", None),
    ]
    assert [row[4] for row in rows] == ["é", "éè", "ÿ"]
    assert [str(row[5]) for row in rows] == [
        "2023-11-14 22:13:20+00:00", "2023-11-14 22:13:20.500000+00:00", "None",
    ]  # fmt: skip
    assert [str(row[6]) for row in rows] == ["2001-02-03", "None", "None"]
    assert [row[7] for row in rows] == [b"\x00\xff", b"text", b"12.5"]
    assert len(rows[0]) == 8, "a column that was not wanted"
    assert ask(program.url, "SELECT to_regclass('loose')") == [(None,)]
    assert {
        (c["column"], c["key"], c["value"], c["reason"]) for c in result.report["conversions"]
    } >= {
        ("parent_id", "id=2", "7", "becomes NULL"), ("note", "id=2", "", "becomes NULL"),
        ("raw", "id=3", "\\xff", "becomes ÿ"), ("mixed", "id=2", "text", "becomes X'74657874'"),
        ("name", "id=2", "a\\x00b", "becomes ab"),
        ("seen_at", "id=1", "1700000000", "becomes 2023-11-14 22:13:20.000000+00:00"),
    }  # fmt: skip
    counts = {(c["table"], c["column"]): c["values"] for c in result.report["converted"]}
    assert counts == {("t", "parent_id"): 1, ("t", "name"): 2, ("t", "note"): 1, ("t", "raw"): 2,
                      ("t", "seen_at"): 2, ("t", "born"): 1, ("t", "mixed"): 2}  # fmt: skip
    left = {(u["kind"], u["name"]) for u in result.report["uncarried"]}
    assert {("column", "t.yes"), ("table", "loose"), ("primary key", "keys")} <= left

    # what the target remembers is what is compared, with and without the file
    for words in ([], ["--mapping", wishes]):
        assert program.verify(dirty, *words).verdict == "equal"
        assert program.run(dirty, *words).verdict == "already migrated"
    ask(program.url, "UPDATE things SET seen_at = seen_at + interval '1 microsecond' WHERE id = 1")
    assert program.verify(dirty).report["proof"]["tables"][-1]["different"] + sum(
        t["different"] for t in program.verify(dirty).report["proof"]["tables"]
    ) > 0  # fmt: skip
    sqlite(dirty, "INSERT INTO t (id, note, seen_at) VALUES (4, '', 1)")
    assert program.run(dirty, "--catch-up", "--given-up").verdict == "caught up"
    assert ask(program.url, "SELECT note, seen_at::text FROM things WHERE id = 4") == [
        (None, "1970-01-01 00:00:01+00")
    ]


def test_a_text_that_was_cut_keeps_its_other_letters(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "cut.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, cut TEXT, latin TEXT);"
        "INSERT INTO t VALUES (1, CAST(x'c3a4e282' AS TEXT), CAST(x'e4' AS TEXT)), (2, 'ü', 'ü')",
    )
    proposed = tmp_path / "proposed.yml"
    program("plan", source, "--write-mapping", proposed, url="none")
    text = proposed.read_text()
    assert "cut: {type: text, invalid_utf8: replace}" in text and "become U+FFFD" in text
    assert "latin: {type: text, invalid_utf8: latin1}" in text
    assert program.run(source, "--mapping", proposed).code == 0
    assert ask(program.url, "SELECT cut, latin FROM t ORDER BY id") == [
        ("ä\ufffd", "ä"),
        ("ü", "ü"),
    ]


def test_binary_data_that_was_bound_as_text_stays_whole(
    program: Program, tmp_path: Path, work: Path
) -> None:
    """As PHP's PDO does by default; and keys of which half happen to be ASCII."""
    png = "89504e470d0a1a0a0000000d49484452ff00fe"
    source = sqlite(
        tmp_path / "php.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, image BLOB, key BLOB(1024), mixed TEXT, plain BLOB, words TEXT);"
        f"INSERT INTO t VALUES (1, CAST(x'{png}' AS TEXT), x'6162', 'a' || char(0), 'p', x'61'),"
        " (2, 'plain', 'cd', x'41', 'q', 'b'), (3, NULL, NULL, 'ü', NULL, NULL)",
    )
    everything = "SELECT id, quote(CAST(image AS BLOB)), quote(key), quote(CAST(mixed AS BLOB)), plain, quote(words),"
    everything += " typeof(image), typeof(key), typeof(mixed) FROM t ORDER BY id"
    before = fetch(source, everything)
    findings = program.check(source).report["findings"]
    offered = {f["column"] for f in findings if "`mixed: bytes`" in f["resolve"]}
    assert offered == {"image", "key", "mixed", "words"}
    proposed, kept = tmp_path / "proposed.yml", tmp_path / "kept.db"
    program("plan", source, "--write-mapping", proposed, url="none")
    text = proposed.read_text()
    for column in ("image", "key", "mixed"):
        assert f"{column}: {{type: bytea, mixed: bytes}}" in text, text
    assert (
        "NUL character; all are kept as bytes" in text
        and "taken out" not in text.split("tables:")[1]
    )
    assert "words: {type: text, mixed: text}" in text
    assert "(`mixed: bytes` in a mapping keeps bytea)\n      plain: {type: text}" in text
    assert program.run(source, "--mapping", proposed, "--keep-snapshot", kept).code == 0
    assert ask(program.url, "SELECT encode(image, 'hex'), key FROM t ORDER BY id") == [
        (png, b"ab"), (b"plain".hex(), b"cd"), (None, None),
    ]  # fmt: skip
    assert program.verify(source).verdict == "equal"
    program("close", None)
    back = tmp_path / "back.db"
    assert program("reverse", kept, "--into", back).verdict == "reversed"
    assert fetch(back, everything) == before


def test_a_cut_emoji_is_no_latin1(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "cut.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, half TEXT, latin TEXT);"
        "INSERT INTO t VALUES (1, CAST(x'6869eda0bd' AS TEXT), CAST(x'6869eda0bd' AS TEXT)),"
        " (2, 'a', CAST(x'6de4' AS TEXT))",
    )
    proposed = tmp_path / "proposed.yml"
    program("plan", source, "--write-mapping", proposed, url="none")
    text = proposed.read_text()
    assert "half: {type: text, invalid_utf8: replace}" in text
    assert "latin: {type: text, invalid_utf8: latin1}" in text, "a letter would be lost"


def test_half_a_letter_in_a_utf16_file(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "half.db",
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT);"
        "INSERT INTO t VALUES (1, 'é'), (2, CAST(x'e90000d8' AS TEXT)), (3, '日本')",
    )
    assert program.check(source).findings == [("t", "id=2", "x")]
    proposed = tmp_path / "proposed.yml"
    program("plan", source, "--write-mapping", proposed, url="none")
    assert program.run(source, "--mapping", proposed).code == 0
    assert ask(program.url, "SELECT x FROM t ORDER BY id") == [("é",), ("é\ufffd",), ("日本",)]


def test_the_written_mapping_lets_everything_be_carried(
    program: Program, dirty: Path, tmp_path: Path
) -> None:
    proposed = tmp_path / "proposed.yml"
    assert program("plan", dirty, "--write-mapping", proposed, url="none").code == 1
    text = proposed.read_text()
    for line in (
        "# 2 values hold a NUL character", "nul: strip", "invalid_utf8: latin1", "orphans: keep",
        "# 2 rows have NULL in the primary key", "primary_key: unique", "primary_key: index",
        "unique: index", "mixed: bytes", "seen_at: {type: double precision}  # declared DATETIME",
    ):  # fmt: skip
        assert line in text, text
    result = program.run(dirty, "--mapping", proposed)
    assert result.code == 0, result.out
    counts = "SELECT (SELECT count(*) FROM {}t), (SELECT count(*) FROM {}keys)," \
             " (SELECT count(*) FROM {}loose), (SELECT count(*) FROM {}once)"  # fmt: skip
    assert ask(program.url, counts.replace("{}", "")) == fetch(dirty, counts.replace("{}", ""))
    assert ask(program.url, "SELECT parent_id FROM t ORDER BY id") == [(1,), (7,), (None,)]
    assert ask(program.url, "SELECT convalidated FROM pg_constraint WHERE contype = 'f'") == [
        (False,)
    ]
    verified = program.verify(dirty)
    assert verified.verdict == "equal", verified.text
    assert program("plan", dirty, "--mapping", proposed, url="none").code == 0


def test_what_only_sqlite_finds_equal(program: Program, tmp_path: Path) -> None:
    """0 refers to 0.0; beside a text both become texts, and differ."""
    source = sqlite(
        tmp_path / "t.db",
        "CREATE TABLE p (k UNIQUE); CREATE TABLE c (id INTEGER PRIMARY KEY, r REFERENCES p (k));"
        "INSERT INTO p VALUES (0.0), ('a'); INSERT INTO c VALUES (1, 0), (2, 'a');",
    )
    assert program.check(source).findings == [("c", "id=1", "r")]
    proposed = tmp_path / "proposed.yml"
    program("plan", source, "--write-mapping", proposed, url="none")
    assert program.run(source, "--mapping", proposed).code == 0
    assert ask(program.url, "SELECT r FROM c ORDER BY id") == [("0",), ("a",)]
    ask(program.url, "DROP TABLE c, p; DROP SCHEMA migrate_db CASCADE;"
                     " CREATE TABLE p (k text UNIQUE); CREATE TABLE c (id int, r text REFERENCES p (k))")  # fmt: skip
    program("plan", source, "--write-mapping", proposed)
    assert program.run(source, "--mapping", proposed).code == 0, proposed.read_text()
    assert ask(program.url, "SELECT r FROM c ORDER BY id") == [(None,), ("a",)]


def test_references_are_cut_among_many(program: Program, tmp_path: Path) -> None:
    """Of a key in two parts, one of which SQLite compares in its own way; and where rows stay behind."""
    source = sqlite(
        tmp_path / "s.db",
        """CREATE TABLE p (name TEXT COLLATE NOCASE, n INTEGER, x TEXT, PRIMARY KEY (name, n));
        CREATE TABLE c (id INTEGER PRIMARY KEY, p TEXT, n INTEGER, x TEXT, FOREIGN KEY (p, n) REFERENCES p);
        WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 12000)
        INSERT INTO p SELECT 'row ' || i, i % 2, iif(i = 7, char(0), 'x') FROM r;
        INSERT INTO c SELECT rowid, iif(rowid % 10, 'row ', 'Row ') || rowid, rowid % 2, iif(rowid = 9, char(0), 'x')
        FROM p UNION ALL SELECT 20000, 'row 1', 0, 'x' UNION ALL SELECT 20001, NULL, 0, 'x';""",
    )
    mapping = tmp_path / "m.yml"
    mapping.write_text("tables: {c: {columns: {p: {orphans: 'null'}}}}\n")
    aside = ("--on-finding", "quarantine", "--quarantine-file", tmp_path / "q.db")
    done = program.run(source, "--mapping", mapping, *aside)
    assert done.verdict == "migrated, 2 rows quarantined", done.out
    cut = [i for i in range(1, 12001) if i % 10 == 0 or i == 7] + [20000, 20001]
    assert ask(program.url, "SELECT id FROM c WHERE p IS NULL ORDER BY id") == [(i,) for i in cut]
    assert ask(program.url, "SELECT count(*) FROM c") == [(12001,)]
    assert program.verify(source).code == 3


def test_a_reference_that_is_null_in_part_is_no_orphan(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        """CREATE TABLE p (a INTEGER, b TEXT, PRIMARY KEY (a, b)); INSERT INTO p VALUES (1, 'x');
        CREATE TABLE c (id INTEGER PRIMARY KEY, a INTEGER, b TEXT, FOREIGN KEY (a, b) REFERENCES p);
        INSERT INTO c VALUES (1, 1, 'x'), (2, 1, NULL), (3, NULL, 'x'), (4, 9, 'x'), (5, 8, NULL);""",
    )
    mapping = tmp_path / "m.yml"
    mapping.write_text("tables: {c: {columns: {a: {orphans: 'null'}}}}")
    done = program.run(source, "--mapping", mapping)
    assert done.code == 0, done.out
    assert ask(program.url, "SELECT id, a FROM c ORDER BY 1") == [
        (1, 1), (2, 1), (3, None), (4, None), (5, 8)
    ]  # fmt: skip


@pytest.mark.parametrize("many", [1601, 2000])
def test_more_columns_than_a_table_can_have(program: Program, tmp_path: Path, many: int) -> None:
    columns = ", ".join(f"c{number}" for number in range(many))
    source = sqlite(
        tmp_path / "t.db", f"CREATE TABLE wide ({columns}); INSERT INTO wide (c3) VALUES (1)"
    )
    assert program.check(source).findings == [("wide", "", "")]
    proposed = tmp_path / "proposed.yml"
    program("plan", source, "--write-mapping", proposed, url="none")
    result = program.run(source, "--mapping", proposed)
    assert result.code == 0, result.out
    assert result.report["uncarried"][0]["name"] == f"wide.c{1600}"
    assert len(result.report["uncarried"]) == many - 1600
    assert ask(program.url, "SELECT c3 FROM wide") == [(1,)]


def test_names_of_every_sort_survive_the_file(program: Program, tmp_path: Path) -> None:
    names = [
        "null",
        "yes",
        "1",
        "a: b",
        "#c",
        "a,b",
        '"',
        "\\",
        "{x}",
        "🧠",
        "é",
        "\n",
        "\x85",
        " ",
        "- a",
    ]
    columns = ", ".join('"' + name.replace('"', '""') + '" TEXT' for name in names)
    source = sqlite(tmp_path / "t.db", f'CREATE TABLE "true: #" ({columns})',
                    (f"INSERT INTO \"true: #\" VALUES ({', '.join('?' * len(names))})",
                     [("a\0",) * len(names)]))  # fmt: skip
    proposed = tmp_path / "proposed.yml"
    program("plan", source, "--write-mapping", proposed, url="none")
    result = program.run(source, "--mapping", proposed)
    assert result.code == 0, proposed.read_text() + result.out
    assert {c["column"] for c in result.report["converted"]} == set(names)
    assert program.verify(source).verdict == "equal"


def test_a_clean_source_gets_a_mapping_that_changes_nothing(
    program: Program, brainer: Path, tmp_path: Path
) -> None:
    proposed = tmp_path / "proposed.yml"
    before = program("plan", brainer, "--write-mapping", proposed, url="none")
    after = program("plan", brainer, "--mapping", proposed, url="none")
    assert (before.code, after.code) == (0, 0)
    assert before.report["ddl"] == after.report["ddl"] and not after.report["converted"]


@pytest.mark.parametrize("pair", ["ft", ("false", "true"), ("no", "yes")])
@pytest.mark.parametrize("rows", ["", "INSERT INTO t (id, x) VALUES (1, NULL);"])
def test_a_default_in_words_survives_the_proposal(
    program: Program, tmp_path: Path, pair: tuple[str, str], rows: str
) -> None:
    """As an old Rails declares what no row says yet."""
    source = sqlite(
        tmp_path / "s.db",
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, x BOOLEAN DEFAULT '{pair[1]}', y boolean DEFAULT '{pair[0]}');"
        + rows,
    )
    proposed = tmp_path / "proposed.yml"
    program("plan", source, "--write-mapping", proposed, url="none")
    planned = program("plan", source, "--mapping", proposed, url="none").report
    assert "y: {type: boolean}" in proposed.read_text() and not planned["uncarried"]
    assert '"x" boolean DEFAULT true' in planned["ddl"][0]
    assert '"y" boolean DEFAULT false' in planned["ddl"][0]


def test_a_default_of_null_is_no_news(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x BLOB DEFAULT NULL, y BLOB DEFAULT 'a');"
        "INSERT INTO t VALUES (1, 'a', 'b')",
    )
    wishes = tmp_path / "m.yml"
    wishes.write_text("tables: {t: {columns: {x: {mixed: bytes}, y: {mixed: bytes}}}}")
    said = [
        n for n in program("plan", source, "--mapping", wishes).report["notes"] if "default" in n
    ]
    assert said == [r"t.y: its default 'a' becomes '\x61', as you asked"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tables: {nothing: {}}", "the source has no table 'nothing'"),
        ("tables:\n  t:\n    columns:\n      nme: {nul: strip}", "t has no column 'nme'"),
        ("tables:\n  t:\n    columns: {name: {null: strip}}", "no such key"),
        ("tables:\n  t:\n    columns: {name: {nul: keep}}", "'keep' is not known"),
        ("tables:\n  t:\n    columns: {name: {type: blobby}}", "'blobby' is not known"),
        ("tables:\n  t:\n    columns: {name: {type: text, epoch: s}}", "not text"),
        ("tables:\n  t: {exclude: true}\n  t: {}", "stands there twice"),
        ("tables:\n  t: {exclude: true}\n  T: {}", "'t' stands there twice"),
        (
            "tables: {t: {columns: {name: {nul: strip}, Name: {empty: 'null'}}}}",
            "'name' stands there twice",
        ),
        ('{"tables": {"t": {}, "t": {}}}', "stands there twice"),
        ("tables: {t: {rename: keys}}", "two tables would be 'keys': t and keys"),
        ("tables: {t: {columns: {name: {rename: note}}}}", "two columns of t would be 'note'"),
        ("tables: {t: {columns: {name: {rename: ctid}}}}", "has a ctid already"),
        (f"tables: {{t: {{rename: {'é' * 32}}}}}", "63 bytes at most, this one 64"),
        ("tables: {t: {columns: {name: {type: varchar(99999999999)}}}}", "is not known"),
        ("tables: {t: {columns: {name: {type: 'numeric(5000,2)'}}}}", "is not known"),
        ("tables: &a {t: *a}", "nested too deeply"),
        ("tables: {? [t] : {}}", "where a name is wanted"),
        ("tables: [t]", "a list where names are wanted"),
        ("tables:\n\tt: {}", "not YAML"),
        ("on_finding: ignore", "'ignore' is not known"),
        ("tabels: {}", "no such key"),
    ],
)
def test_a_mistake_in_the_mapping_names_its_line(
    program: Program, dirty: Path, tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "m.yml").write_text(text)
    result = program.check(dirty, "--mapping", tmp_path / "m.yml")
    assert result.code == 2 and says in result.error, result.error
    placed = not text.startswith(("{", "tables: &a"))
    assert not placed or f"line {text.count(chr(10)) + 1}" in result.error
    assert "known:" in result.error or "known" not in says or "columns" in text


def test_tables_of_the_app_keep_their_types(program: Program, tmp_path: Path) -> None:
    """What Django and others do: naive UTC times in SQLite, timestamptz in PostgreSQL."""
    source = sqlite(
        tmp_path / "app.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME, n INT, u CHAR(32), extra TEXT,"
        " v VARCHAR(3), must TEXT);"
        "INSERT INTO t VALUES (1, '2024-01-01 10:00:00.5', '', hex(zeroblob(16)), 'x', 'abc', 'm'),"
        " (2, '2024-01-01T10:00:00+02:00', 7, NULL, 'y', 'abcd', NULL);",
    )
    ask(program.url, "CREATE TABLE t (id int PRIMARY KEY, at timestamptz, n int, u uuid,"
                     " v varchar(3), must text NOT NULL)")  # fmt: skip
    kinds = {f["kind"] for f in program.check(source, url=program.url).report["findings"]}
    assert kinds == {"zone", "empty", "no column", "misfit", "null there"}
    proposed = tmp_path / "m.yml"
    program("plan", source, "--write-mapping", proposed)
    for words in ("zone: utc", "empty: null", "exclude: true", "on_finding: quarantine"):
        assert words in proposed.read_text(), proposed.read_text()
    result = program.run(source, "--mapping", proposed, "--quarantine-file", tmp_path / "q.db")
    assert (result.code, result.verdict) == (3, "migrated, 1 rows quarantined"), result.out
    assert ask(program.url, "SELECT id, at::text, n, u::text FROM t") == [
        (1, "2024-01-01 10:00:00.5+00", None, "00000000-0000-0000-0000-000000000000")
    ]
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("tables: {t: {columns: {n: {type: bigint}}}}")
    result = program.check(source, "--mapping", wrong, url=program.url)
    assert result.code == 2 and "t.n as bigint" in result.error


@pytest.mark.parametrize("kind", ["timestamp(3)", "timestamptz(3)", "time(3)"])
def test_times_of_the_app_with_a_precision(program: Program, tmp_path: Path, kind: str) -> None:
    value = {"timestamp(3)": "2020-01-01 00:00:00.123", "time(3)": "10:00:00.123"}
    source = sqlite(tmp_path / "t.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, c DATETIME)",
                    ("INSERT INTO t VALUES (1, ?)", [(value.get(kind, "2020-01-01 00:00:00.123Z"),)]))  # fmt: skip
    ask(program.url, f"CREATE TABLE t (id int PRIMARY KEY, c {kind})")
    proposed = tmp_path / "m.yml"
    program("plan", source, "--write-mapping", proposed)
    result = program.run(source, "--mapping", proposed)
    assert result.code == 0, result.out
    assert program.verify(source).verdict == "equal"
    ask(program.url, "DROP TABLE t; DROP SCHEMA migrate_db CASCADE")
    ask(program.url, f"CREATE TABLE t (id int PRIMARY KEY, c {kind})")
    sqlite(source, "UPDATE t SET c = replace(c, '.123', '.123456')")
    assert program.run(source).findings == [("t", "id=1", "c")], "it would be rounded"


def test_some_tables(program: Program, dirty: Path) -> None:
    result = program.run(dirty, "--include", "p*", "--include", "T", "--exclude", "t")
    assert result.code == 0, result.out
    assert [t["name"] for t in result.report["tables"]] == ["parents"]
    assert program.verify(dirty).verdict == "equal", "it is remembered"
    assert program.run(dirty, "--include", "keys", "--on-finding", "quarantine").code == 3
    assert ask(program.url, "SELECT k FROM keys") == [("a",)], "others may come later"
    assert program.run(dirty, "--include", "keys", "--exclude", "k*").code == 2
    result = program.check(dirty, "--include", "t")
    assert ("foreign key", "table parents is left out") not in result.report["uncarried"]
    planned = program("plan", dirty, "--include", "t", url="none")
    assert any("parents is left out" in u["reason"] for u in planned.report["uncarried"])
    result = program.check(dirty, "--exclude", "nothing*")
    assert result.code == 2 and "'nothing*'" in result.error and "parents" in result.error


def test_times_counted_in_other_ways(program: Program, tmp_path: Path) -> None:
    units = {"s": 1_000_000_000, "ms": 1_000_000_000_000, "us": 10**15, "webkit": 12_644_473_600 * 10**6
             + 10**15 - 10**15, "cocoa": 0, "julian": 2_451_910.5}  # fmt: skip
    columns = ", ".join(f"{unit} DATETIME" for unit in units)
    source = sqlite(tmp_path / "t.db", f"CREATE TABLE t (id INTEGER PRIMARY KEY, {columns})",
                    (f"INSERT INTO t VALUES (1, {', '.join('?' * len(units))})",
                     [tuple(units.values())]))  # fmt: skip
    wishes = {unit: {"epoch": unit, "type": "timestamp"} for unit in units}
    (tmp_path / "m.yml").write_text(json.dumps({"tables": {"t": {"columns": wishes}}}))
    assert program.run(source, "--mapping", tmp_path / "m.yml").code == 0
    row = dict(zip(units, map(str, ask(program.url, "SELECT * FROM t")[0][1:]), strict=True))
    assert row["s"] == row["ms"] == row["us"] == "2001-09-09 01:46:40"
    assert row["cocoa"] == row["julian"] == "2001-01-01 00:00:00"


def test_json_needs_no_pyyaml(
    program: Program, dirty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The preflight runs with the system's Python, and is given the mapping as JSON."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    wishes = tmp_path / "wishes.json"
    rest = {"parents", "keys", "loose", "once"}
    columns = {
        "parent_id": {"orphans": None}, "name": {"nul": "strip"}, "raw": {"invalid_utf8": "latin1"},
        "seen_at": {"exclude": True}, "mixed": {"mixed": "bytes"},
    }  # fmt: skip
    tables = {name: {"exclude": True} for name in rest} | {"t": {"columns": columns}}
    wishes.write_text(json.dumps({"tables": tables}))
    assert program.check(dirty, "--mapping", wishes).verdict == "ready"
