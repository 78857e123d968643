"""What is read, what is written, and that nothing else moves."""

from __future__ import annotations

import io
import subprocess

import pytest
from backend_env import EnvError, parse, set_values
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

URL = "postgresql://brainer:p%40ss%2Fw%23rd@postgres:5432/brainer"


def read(data: bytes) -> dict[str, str | None]:
    """The file as python-dotenv reads it."""
    return dotenv_values(stream=io.StringIO(data.decode("utf-8-sig"), newline=""))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"DB_TYPE=postgres\n"),
        (b"DB_TYPE=sqlite\n", b"DB_TYPE=postgres\n"),
        (b"DB_TYPE=sqlite", b"DB_TYPE=postgres"),
        (b"DB_TYPE=\n", b"DB_TYPE=postgres\n"),
        (b"A=1\r\nDB_TYPE=sqlite\r\nB=2\r\n", b"A=1\r\nDB_TYPE=postgres\r\nB=2\r\n"),
        (b"A=1\r\nB=2", b"A=1\r\nB=2\r\nDB_TYPE=postgres\r\n"),
        (b"A=1", b"A=1\nDB_TYPE=postgres\n"),
        (b"\n\n# DB_TYPE=x\n\n", b"\n\n# DB_TYPE=x\n\nDB_TYPE=postgres\n"),
        (b"export DB_TYPE=sqlite\n", b"export DB_TYPE=postgres\n"),
        (b"export\tDB_TYPE = sqlite  \n", b"export\tDB_TYPE = postgres  \n"),
        (b"  DB_TYPE=sqlite # which one\n", b"  DB_TYPE=postgres # which one\n"),
        (b"DB_TYPE= # which one\n", b"DB_TYPE=postgres # which one\n"),
        (b"DB_TYPE='sqlite' # c\n", b"DB_TYPE='postgres' # c\n"),
        (b'DB_TYPE="sqlite"#c\n', b'DB_TYPE="postgres"#c\n'),
        (b"DB_TYPE: sqlite\n", b"DB_TYPE: postgres\n"),
        (b"DB_TYPE=a\nDB_TYPE=b\nX=1\n", b"DB_TYPE=a\nDB_TYPE=postgres\nX=1\n"),
        (b"MY_DB_TYPE=a\nDB_TYPE_2=b\n", b"MY_DB_TYPE=a\nDB_TYPE_2=b\nDB_TYPE=postgres\n"),
        (
            b'KEY="-----\nDB_TYPE=no\n"\nDB_TYPE=sqlite\n',
            b'KEY="-----\nDB_TYPE=no\n"\nDB_TYPE=postgres\n',
        ),
        (b'KEY="a \\" b"\nDB_TYPE=sqlite\n', b'KEY="a \\" b"\nDB_TYPE=postgres\n'),
        (b"\xef\xbb\xbfDB_TYPE=sqlite\n", b"\xef\xbb\xbfDB_TYPE=postgres\n"),
        (b"LATIN=\xe9\xff\nDB_TYPE=sqlite\n", b"LATIN=\xe9\xff\nDB_TYPE=postgres\n"),
        (b"DB_TYPE=${KIND:-sqlite}\n", b"DB_TYPE=postgres\n"),
        (b"DB_TYPE\n", b"DB_TYPE\nDB_TYPE=postgres\n"),
    ],
)
def test_one_value_moves_and_nothing_else(before: bytes, after: bytes) -> None:
    assert set_values(before, {"DB_TYPE": "postgres"}) == (after, ["DB_TYPE"])
    assert set_values(after, {"DB_TYPE": "postgres"}) == (after, [])


@pytest.mark.parametrize(
    "data",
    [
        b"DB_TYPE=postgres",
        b"DB_TYPE='postgres' # c\n",
        b'DB_TYPE=a\nexport DB_TYPE = "postgres"\r\n',
    ],
)
def test_what_is_right_is_left_as_it_is_written(data: bytes) -> None:
    assert set_values(data, {"DB_TYPE": "postgres"}) == (data, [])


@pytest.mark.parametrize(
    "data", [b"DB_TYPE='sqlite\n", b'A=1\nB="x\\"\n', b"A=1\nnot an assignment at all!\n"]
)
def test_a_file_that_compose_cannot_read_is_refused_without_showing_it(data: bytes) -> None:
    with pytest.raises(EnvError, match=r"^line \d: .*compose cannot read it either$"):
        set_values(data, {"DB_TYPE": "postgres"})


@pytest.mark.parametrize(
    "value", ["it's", "a\\b", "a\nb", "a\rb", "nul\0", "${HOME}", "\ud800", "a\u2028b"]
)
def test_a_value_that_readers_would_read_differently_is_refused(value: str) -> None:
    with pytest.raises(
        EnvError, match=r"^DATABASE_URL: the value holds .*percent-encode"
    ) as refused:
        set_values(b"A=1\n", {"DATABASE_URL": value})
    assert value not in str(refused.value)


def test_a_key_that_is_none_is_refused() -> None:
    with pytest.raises(EnvError, match="not a name"):
        set_values(b"", {"A=B": "1"})


# Every kind of line an operator's file has, each complete in itself.
safe_text = st.text(
    st.characters(
        codec="utf-8",
        exclude_characters="\"'\\$#\r\n\0\x85\xa0\u2028\u2029",
        exclude_categories=["C"],
    )
)
names = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name not in ("DB_TYPE", "DATABASE_URL")
)
other_lines = st.one_of(
    st.just(""),
    st.builds("# {}".format, safe_text),
    st.builds("#DB_TYPE={}".format, safe_text),
    st.builds("{}={}".format, names, safe_text),
    st.builds("export {}='{}'".format, names, safe_text),
    st.builds('{}="{}"  # DB_TYPE=no'.format, names, safe_text),
    st.builds('{}="first\nDB_TYPE=inside\n{}"'.format, names, safe_text),
    st.builds("DB_TYPE_{}=x".format, names),
    st.builds("  {} = {} # c".format, names, safe_text),
)
our_lines = st.builds(
    "{}DB_TYPE={}{}".format,
    st.sampled_from(["", "export ", "  "]),
    st.sampled_from(
        ["", "sqlite", "'sqlite'", '"sqlite"', "$X", '"${X}"', "postgres", "'postgres'"]
    ),
    st.sampled_from(["", "  ", " # comment"]),
)
values = st.one_of(
    st.just("postgres"),
    st.just(URL),
    st.text(
        st.characters(codec="utf-8", exclude_characters="'\\\u2028\u2029", exclude_categories=["C"])
    ).filter(lambda value: "${" not in value),
)


@given(
    lines=st.lists(st.one_of(other_lines, our_lines), max_size=8),
    newline=st.sampled_from(["\n", "\r\n"]),
    ends=st.booleans(),
    bom=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    value=values,
)
def test_all_other_bytes_stay_and_the_value_is_read_back(
    lines: list[str], newline: str, ends: bool, bom: bytes, value: str
) -> None:
    text = newline.join(lines) + (newline if ends and lines else "")
    before = bom + text.encode()
    ours = [
        number
        for number, line in enumerate(lines)
        if line.lstrip().removeprefix("export ").startswith("DB_TYPE=")
    ]
    after, changed = set_values(before, {"DB_TYPE": value})
    assert parse(after.decode("utf-8"))
    assert read(after)["DB_TYPE"] == value
    assert set_values(after, {"DB_TYPE": value}) == (after, [])
    if not changed:
        assert after == before
    elif ours:
        # only the last of our lines differs: cut it out on both sides, the rest is the same
        last = ours[-1]
        head = bom + "".join(line + newline for line in lines[:last]).encode()
        tail = "".join(newline + line for line in lines[last + 1 :]).encode() + (
            newline.encode() if ends else b""
        )
        assert after.startswith(head) and after.endswith(tail)
        assert len(after) >= len(head) + len(tail)
    else:
        assert after.startswith(before)
        assert after[len(before) :].count(b"\n") <= 2


@given(value=values)
def test_a_shell_that_sources_the_file_reads_the_same(value: str) -> None:
    # The shell itself is asked below for a few; here, that the text is one word without an expansion in it.
    text = set_values(b"", {"K": value})[0].decode().removeprefix("K=").removesuffix("\n")
    assert text == value or text == f"'{value}'"


@pytest.mark.parametrize(
    "value", [URL, "", "a b", "a&b;c|d", "$HOME `id` $(id)", "~/x", "*?[a]", 'say "x"', "#no", "ä€"]
)
def test_the_shell_agrees(value: str) -> None:
    data = set_values(b"", {"K": value})[0]
    done = subprocess.run(
        ["/bin/sh", "-ec", data.decode() + 'printf %s "$K"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == value
