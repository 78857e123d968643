"""What is told from the text of a DATABASE_URL alone."""

import pytest
from db_doctor import address

LOGIN = "postgresql://brainer:s3cret"


@pytest.mark.parametrize(
    "url",
    [
        f"{LOGIN}@postgres:5432/brainer",
        f"{LOGIN}@postgres/brainer",
        f"{LOGIN}@[2001:db8::1]:5432/brainer?sslmode=require",
        "postgresql+psycopg://brainer:s3%40cret%2F%25@postgres:5432/brainer",
        "postgres://b:s3cret:with:colons@postgres/brainer",
        "postgresql://brainer@postgres/brainer?passfile=/x/pgpass",
        f"{LOGIN}@db1:5432,db2:5433/brainer?target_session_attrs=primary",
        f"{LOGIN}@/brainer?host=db1,db2&port=5432,5433",
    ],
)
def test_nothing_is_wrong(url: str) -> None:
    assert list(address.flaws(url)) == []


@pytest.mark.parametrize(
    ("url", "name", "evidence"),
    [
        ("", "url", "is empty"),
        ("  ", "url", "is empty"),
        (f"'{LOGIN}@postgres/brainer'", "url", "quotes"),
        (f"{LOGIN}@postgres/brainer ", "url", "blanks"),
        ("postgresql://${POSTGRES_USER}:s3cret@postgres/x", "url", "never filled in"),
        ("postgresql:brainer:s3cret@postgres/brainer", "url", "doesn't begin with postgresql://"),
        ("jdbc:postgresql://postgres/brainer", "url", "doesn't begin with postgresql://"),
        ("mysql://brainer:s3cret@postgres/brainer", "url", "an address of mysql"),
        ("sqlite:////app/data/brainer.db", "url", "an address of sqlite"),
        ("postgresql://brainer:s3@cret@postgres/brainer", "url_encoding", "%40"),
        ("postgresql://brainer:s3/cret@postgres/brainer", "url_encoding", "%2F"),
        ("postgresql://brainer:s3@x/cret@postgres/brainer", "url_encoding", "%2F"),
        ("postgresql://brainer:5432/cret@postgres/brainer", "url_encoding", "%2F"),
        ("postgresql://brainer:s3#cret@postgres/brainer", "url_encoding", "%23"),
        ("postgresql://brainer:s3?cret@postgres/brainer", "url_encoding", "%3F"),
        ("postgresql://brainer:100%s3cret@postgres/brainer", "url_encoding", "%25"),
        ("postgresql://brainer:s3 cret@postgres/brainer", "url_encoding", "%20"),
        (f"{LOGIN}@/brainer", "url", "no host"),
        (f"{LOGIN}@postgres:port/brainer", "url", "its port is 'port'"),
        (f"{LOGIN}@postgres:99999/brainer", "url", "its port is '99999'"),
        (f"{LOGIN}@postgres:5432", "url", "no database"),
        ("postgresql://postgres:5432/brainer", "url", "no user"),
        ("postgresql://brainer@postgres/brainer", "url", "no password"),
        (f"{LOGIN}@localhost/brainer", "host", "the container itself"),
        (f"{LOGIN}@127.0.0.1:5432/brainer", "host", "the container itself"),
        (f"{LOGIN}@[::1]:5432/brainer", "host", "the container itself"),
    ],
)
def test_a_flaw_is_named_and_the_password_is_not_shown(url: str, name: str, evidence: str) -> None:
    found = list(address.flaws(url))
    assert [one.name for one in found] == [name]
    assert evidence in found[0].evidence
    assert "s3" not in found[0].evidence and "cret" not in found[0].evidence


def test_the_parts_are_decoded() -> None:
    parts = address.split("postgresql://a%40b:p%2Fw%25@[::1]:5433/d%20b?sslmode=require")
    assert parts == address.Address("a@b", "p/w%", "::1", "5433", "d b")
