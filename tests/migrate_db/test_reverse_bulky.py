"""Values of megabytes on the way back: the same ones stay, new ones arrive whole."""

from pathlib import Path

import pytest
from migrate_db.planning.bulky import LIMIT

from .home import Home, stored
from .program import Program, fetch
from .test_bulky import content


@pytest.mark.parametrize("columns", ["all", "those that had none"])
def test_values_of_megabytes(program: Program, tmp_path: Path, columns: str) -> None:
    home = Home(program, content(tmp_path / "s.db"))
    if columns == "all":
        home.write(
            "UPDATE t SET n = 11 WHERE id = 1",
            "UPDATE t SET body = body || 'x' WHERE id = 3",
            "UPDATE t SET body = left(body, -1) WHERE id = 4",
            "UPDATE t SET film = set_byte(film, 5000000, get_byte(film, 5000000) # 1) WHERE id = 5",
            f"""INSERT INTO t VALUES (9, 1, repeat('ü''', {LIMIT}), decode(repeat('00ff', {LIMIT}),
              'hex'), ('["' || repeat('j', {LIMIT}) || '"]')::json)""",
            "DELETE FROM t WHERE id = 2",
            f"INSERT INTO loose VALUES (3, repeat('y', {LIMIT + 5}))",
            "DELETE FROM loose WHERE ctid = (SELECT min(ctid) FROM loose)",
        )
    else:
        home.write(
            "DELETE FROM t", f"INSERT INTO t VALUES (2, 2, 'a', repeat('z', {LIMIT + 1})::bytea)"
        )
    home.returned()
    before, after = stored(home.kept, "t", "id"), stored(home.into, "t", "id")
    if columns != "all":
        assert fetch(home.into, "SELECT * FROM t") == [(2, 2, "a", b"z" * (LIMIT + 1), None)]
        return
    assert {id for id, row in after.items() if row == before.get(id)} == set()
    assert after[1][4:] == before[1][4:] and after[1][2:4] == (b"integer", 11)
    assert after[3][4:6] == (b"text", before[3][5] + b"x")
    assert len(after[4][5]) == LIMIT
    assert len(after[5][7]) == len(before[5][7]) and after[5][7] != before[5][7]
    assert after[9][4:] == (
        b"text", "ü'".encode() * LIMIT, b"blob", b"\0\xff" * LIMIT,
        b"text", b'["' + b"j" * LIMIT + b'"]',
    )  # fmt: skip
    assert len(fetch(home.into, "SELECT * FROM loose")) == 3
    proof = program.verify(home.into).report["proof"]
    assert [t["equal"] - t["target_rows"] for t in proof["tables"]] == [0, 0]
