"""The proof has teeth: whatever single thing changes, verify says exactly where."""

import dataclasses
from pathlib import Path

import psycopg
import pytest
from migrate_db.codecs import codec, numbers, texts, times
from migrate_db.rows import blocks, difference, load

from .program import Program, ask, image, sqlite

COLUMNS = {  # column: declared type, SQL literal in SQLite, other values in PostgreSQL
    "i": ("INTEGER", "5", ["6", "NULL"]),
    "big": ("BIGINT", "9223372036854775807", ["9223372036854775806"]),
    "b": ("BOOLEAN", "0", ["true", "NULL"]),
    "f": ("FLOAT", "0.1", ["0.10000000000000002", "'NaN'", "NULL", "'-0'"]),
    "zero": ("FLOAT", "0.0", ["'-0'"]),
    "n": ("NUMERIC(20,10)", "0.1", ["0.1000000001", "'NaN'"]),
    "t": ("TEXT", "'a'", ["'A'", "'a '", "''", "NULL", "'á'", "'NULL'"]),
    "empty": ("TEXT", "''", ["NULL", "' '", "'NULL'"]),
    "none": ("TEXT", "NULL", ["''", "'NULL'"]),
    "j": ("JSON", """'{"a": 1}'""", ["""'{"a":1}'""", "'null'", "NULL"]),
    "d": ("DATE", "'0001-02-03'", ["'0001-02-03 BC'", "'infinity'", "NULL"]),
    "dt": ("DATETIME", "'0001-02-03 04:05:06.000007'",
           ["'0001-02-03 04:05:06.000008'", "'0001-02-03 04:05:06.000007 BC'", "NULL"]),
    "no_dt": ("DATETIME", "NULL", ["'infinity'", "'-infinity'"]),
    "no_d": ("DATE", "NULL", ["'infinity'"]),
    "tm": ("TIME", "'04:05:06'", ["'04:05:06.000001'", "NULL"]),
    "x": ("BLOB", "X'00ff'", [r"'\x00fe'", r"'\x'", r"'\x00ff00'", "NULL"]),
    "u": ("UUID", "'00112233-4455-6677-8899-aabbccddeeff'",
          ["'00112233-4455-6677-8899-aabbccddeefe'"]),
}  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    declared = ", ".join(f"{name} {column[0]}" for name, column in COLUMNS.items())
    row = ", ".join(literal for _, literal, _ in COLUMNS.values())
    return sqlite(
        tmp_path / "t.db",
        f"CREATE TABLE parent (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE);"
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, p INTEGER REFERENCES parent, {declared});"
        "CREATE TABLE loose (a INTEGER, b TEXT);"
        "CREATE TABLE words (w TEXT PRIMARY KEY, x INTEGER) WITHOUT ROWID;"
        "INSERT INTO parent VALUES (1, 'one'), (2, 'two');"
        + "".join(f"INSERT INTO t VALUES ({n}, 1, {row});" for n in range(1, 4))
        + "INSERT INTO loose VALUES (1, 'x'), (1, 'x'), (NULL, NULL);"
        "INSERT INTO words VALUES ('a', 1), ('B', 2), ('é', 3), ('🧠', 4)",
    )


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
def test_what_is_equal_is_not_taken_apart(
    program: Program, tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole blocks are enough, whatever is in them; row by row takes several times as long."""
    declared = ", ".join(f"{name} {column[0]}" for name, column in COLUMNS.items())
    literals = ", ".join(literal for _, literal, _ in COLUMNS.values())
    source = sqlite(
        tmp_path / "t.db",
        f"PRAGMA encoding = '{encoding}'; CREATE TABLE t (id INTEGER PRIMARY KEY, {declared},"
        " bits, zoned TIMESTAMPTZ, any_time DATETIME, flag BOOLEAN, mixed NUMERIC, v VARCHAR(9),"
        " pieces BLOB);"
        f"INSERT INTO t VALUES (1, {literals}, X'00', '2024-02-29 12:00:00Z', '2024-02-29T12:00',"
        " 'true', 5, 'é''\"\\\n🧠', zeroblob(2000000)),"
        f" (2, {literals}, X'', NULL, NULL, 'false', 'x', char(1), NULL),"
        f" (3, {', '.join(['NULL'] * (len(COLUMNS) + 7))});"
        "UPDATE t SET j = 5 WHERE id = 2; UPDATE t SET j = '\"5\"' WHERE id = 3",
    )

    def taken_apart(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(difference, "_merged", taken_apart)
    assert program.run(source).verdict == "migrated"
    assert program.verify(source).verdict == "equal"


@pytest.mark.parametrize(
    ("key", "form"),
    [
        ("a TEXT", ""),
        ("a TEXT PRIMARY KEY", ""),
        ("a TEXT PRIMARY KEY, UNIQUE (b, a)", ""),
        ("a TEXT PRIMARY KEY, UNIQUE (b, a)", " WITHOUT ROWID"),
    ],
)
def test_rows_without_a_number_as_key(
    program: Program, tmp_path: Path, key: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compared in blocks as they lie; row by row if they lie otherwise, or aren't equal."""
    rows = [(f"{n * 7919 % 4000:x}", f"{n}" * 200) for n in range(4000)]  # several blocks
    source = sqlite(
        tmp_path / "t.db",
        f"CREATE TABLE t (b TEXT, {key}){form}; CREATE TABLE u (a TEXT); INSERT INTO u VALUES (1);",
        ("INSERT INTO t (a, b) VALUES (?, ?)", rows),
    )
    assert program.run(source).verdict == "migrated"
    taken_apart = difference._merged
    monkeypatch.setattr(difference, "_merged", None)
    assert program.verify(source).verdict == "equal"
    monkeypatch.setattr(difference, "_merged", taken_apart)
    for change, missing, extra, different in [
        ("UPDATE t SET b = b WHERE b LIKE '2%'", 0, 0, 0),
        ("INSERT INTO t (a, b) VALUES ('g', '')", 0, 1, 0),
        ("DELETE FROM t WHERE a = 'g' OR a = 'f'", 1, 0, 0),
        ("UPDATE t SET b = '' WHERE a = 'e'", 2, 1, 0) if "KEY" not in key else
        ("UPDATE t SET b = '' WHERE a = 'e'", 1, 0, 1),
    ]:  # fmt: skip
        ask(program.url, change)
        tables = {t["table"]: t for t in program.verify(source).report["proof"]["tables"]}
        told = tables["t"]
        assert [told["missing"], told["extra"], told["different"]] == [missing, extra, different]
        assert tables["u"]["equal"] == 1


def test_any_single_value(program: Program, source: Path) -> None:
    result = program.run(source)
    assert result.code == 0, result.out
    assert result.report["uncarried"] == [] and result.report["findings"] == []
    with psycopg.connect(program.url, autocommit=True) as server:
        for name, (_, _, others) in COLUMNS.items():
            for other in others:
                found = server.execute(f"SELECT {name}::text FROM t WHERE id = 2".encode())
                before = found.fetchone()
                server.execute(f"UPDATE t SET {name} = {other} WHERE id = 2".encode())
                verified = program.verify(source)
                assert (verified.code, verified.verdict) == (3, "different"), (name, other)
                told = next(t for t in verified.report["proof"]["tables"] if t["table"] == "t")
                assert (told["missing"], told["extra"], told["different"]) == (0, 0, 1)
                assert f"t [id=2]: {name}: " in told["examples"][0]
                assert told["examples"][0].count(" became ") == 1
                assert before is not None
                server.execute(f"UPDATE t SET {name} = %s WHERE id = 2".encode(), before)
    assert program.verify(source).verdict == "equal"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("DELETE FROM t WHERE id = 3", "t [id=3]: only in SQLite"),
        ("INSERT INTO t (id) VALUES (-4)", "t [id=-4]: only in PostgreSQL"),
        ("UPDATE t SET id = 77 WHERE id = 1", "t [id=77]: only in PostgreSQL"),
        ("TRUNCATE loose", "loose: 3 missing"),
        ("INSERT INTO loose VALUES (1, 'x')", "loose: 0 missing, 1 extra"),
        ("INSERT INTO loose VALUES (NULL, NULL)", "only in PostgreSQL"),
        ("DELETE FROM loose WHERE ctid = '(0,1)'", "loose: 1 missing"),
        ("UPDATE loose SET a = 2 WHERE ctid = '(0,1)'", "loose: 1 missing, 1 extra"),
        ("DELETE FROM words WHERE w = 'é'", "words [w='é']: only in SQLite"),
        ("UPDATE words SET w = 'b' WHERE w = 'B'", "words [w='b']: only in PostgreSQL"),
        ("INSERT INTO words VALUES ('z', 1)", "words [w='z']: only in PostgreSQL"),
        ("ALTER TABLE parent ALTER id RESTART WITH 2", "sequence of parent.id"),
        ("ALTER TABLE t ALTER id RESTART WITH 1", "sequence of t.id"),
        (
            "ALTER TABLE t ALTER id SET MAXVALUE 99 RESTART WITH 99;SELECT nextval('t_id_seq')",
            "it ends at 99",
        ),
        ("ALTER TABLE t ALTER id SET INCREMENT -1", "it counts down"),
        ("ALTER TABLE t ALTER id SET CYCLE", "(CYCLE)"),
        ("ALTER TABLE loose SET UNLOGGED", "loose is UNLOGGED"),
        (
            "ALTER TABLE t DROP CONSTRAINT t_p_fkey;"
            "ALTER TABLE t ADD CONSTRAINT fk FOREIGN KEY (p) REFERENCES parent NOT VALID",
            "constraint fk of t is not validated",
        ),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (i > 0) NOT VALID", "constraint c"),
        ("DROP TABLE loose", "has no table loose"),
    ],
)
def test_any_row_sequence_or_constraint(
    program: Program, source: Path, change: str, says: str
) -> None:
    program.run(source)
    for statement in change.split(";"):
        ask(program.url, statement)
    verified = program.verify(source)
    assert (verified.code, verified.verdict) == (3, "different")
    assert any(says in line for line in verified.told), verified.told
    again = program.run(source)
    assert again.code == 1 and "--replace" in again.error


def test_an_invalid_index(program: Program, source: Path, admin: psycopg.Connection) -> None:
    program.run(source)
    admin.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_pkey'::regclass")
    verified = program.verify(source)
    assert verified.code == 3 and "index t_pkey is not valid" in verified.out


def test_a_null_key_in_the_target_alone(program: Program, tmp_path: Path) -> None:
    source = sqlite(tmp_path / "k.db", "CREATE TABLE k (id INTEGER PRIMARY KEY)",
                    ("INSERT INTO k VALUES (?)", [(1,), (2,)]))  # fmt: skip
    ask(program.url, "CREATE TABLE k (id integer)")
    assert program.run(source).code == 0
    ask(program.url, "INSERT INTO k VALUES (NULL), (1)")
    verified = program.verify(source)
    assert verified.code == 3
    assert verified.report["proof"]["tables"][0]["extra"] == 2


SLIPS = {
    "integer": numbers.integer("integer"),
    "bigint": numbers.integer("bigint"),
    "boolean": numbers.BOOLEAN,
    "double": numbers.DOUBLE,
    "text": texts.text(),
    "json": texts.JSON,
    "date": times.DATE,
    "timestamp": times.TIMESTAMP,
    "bytea": texts.BYTEA,
}
SLIPPED = {
    "integer": "{c} + ({c} = 3)",
    "bigint": "{c} - 1",
    "boolean": "1 - {c}",
    "double": "CAST(round({c}, 1) + 1 AS TEXT)",
    "text": "replace({c}, 'a', 'b')",
    "json": "replace('{}', '', '')",
    "date": "date({c}, '+1 day')",
    "timestamp": "substr({c}, 1, 22)",
    "bytea": "'\\x' || hex({c}) || '00'",
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_of_the_load(
    program: Program, source: Path, slip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One codec encodes wrongly: the run refuses, and the target is as before."""
    right = codec.Codec.encode_of

    def wrong(self: codec.Codec, column: str, assumed: bool) -> str:
        if (self.type, self.stored) == (SLIPS[slip].type, SLIPS[slip].stored):
            self = dataclasses.replace(self, encode=SLIPPED[slip])
        return right(self, column, assumed)

    monkeypatch.setattr(codec.Codec, "encode_of", wrong)
    before = image(program.url)
    result = program.run(source)
    assert result.code == 1 and "not equal to the source" in result.error, result.out
    assert not result.report["changed"] and image(program.url) == before
    monkeypatch.undo()
    assert program.run(source).verdict == "migrated"


def test_rows_lost_on_the_way(
    program: Program, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = load.copy_rows
    for where in ("id <> 2", "1 = 0"):
        monkeypatch.setattr(
            load, "copy_rows",
            lambda s, t, plan, progress, where=where: right(
                s, t, plan, progress, where if plan.target == "t" else ""
            ),
        )  # fmt: skip
        result = program.run(source)
        assert result.code == 1 and "missing" in result.error
    assert image(program.url)["objects"] == []


def test_a_proof_that_reads_nothing_fails(
    program: Program, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that neither side's reader saw are counted by another way."""
    monkeypatch.setattr(blocks.SourceBlocks, "of", lambda *a: iter(()))
    monkeypatch.setattr(difference, "_source_lines", lambda *a, **k: (line for line in ()))
    monkeypatch.setattr(difference, "_target_lines", lambda *a, **k: (line for line in ()))
    result = program.run(source)
    assert result.code == 1 and "count(*) disagrees" in result.error
    assert image(program.url)["objects"] == []


@pytest.mark.parametrize("how", ["DISABLE TRIGGER ALL", "ENABLE REPLICA TRIGGER {name}"])
def test_a_foreign_key_that_is_switched_off(
    program: Program, brainer: Path, admin: psycopg.Connection, how: str
) -> None:
    assert program.run(brainer).code == 0
    (name,) = admin.execute(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'parts'::regclass LIMIT 1"
    ).fetchone() or ("",)
    admin.execute(f"ALTER TABLE parts {how}".format(name=f'"{name}"').encode())
    result = program.verify(brainer)
    assert result.code == 3 and "parts is switched off" in result.out, result.out


def test_rows_that_a_policy_hides_are_not_taken_for_gone(program: Program, source: Path) -> None:
    kept = source.with_name("kept.db")
    assert program.run(source, "--hold", "--keep-snapshot", kept).code == 0
    program("open", None)
    ask(program.url, "ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY;"
        "CREATE POLICY p ON t USING (id < 2)")  # fmt: skip
    program("close", None)
    for done in (
        program.verify(source),
        program("reverse", kept, "--into", source.with_name("made.db")),
    ):
        assert done.code == 1 and "a policy of the target hides rows" in done.error


def test_a_collation_that_takes_one_letter_for_another(
    program: Program, tmp_path: Path, admin: psycopg.Connection
) -> None:
    source = sqlite(
        tmp_path / "c.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'p')",
    )
    admin.execute(
        "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
    )
    ask(program.url, "CREATE TABLE t (id int PRIMARY KEY, a text COLLATE ci)")
    assert program.run(source).code == 0
    ask(program.url, "UPDATE t SET a = 'P'")
    verified = program.verify(source)
    assert verified.code == 3 and "a: 'p' became 'P'" in verified.out
    assert program.run(source, "--catch-up", "--given-up").verdict == "caught up"
