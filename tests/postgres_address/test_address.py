"""An operator's address of a server elsewhere: what is refused, and what programs and app get."""

import sys
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql import psycopg

sys.path.insert(0, str(Path(__file__).parents[2] / "roles" / "postgres" / "lookup_plugins"))
from postgres_address import postgres_address

CLUSTER = "postgresql://brai%40ner@db1:5432,[2001:db8::1]:6432,db3/brainer?target_session_attrs=read-write"


def test_programs_and_app_get_the_same_place() -> None:
    secret = "p@ss:w/o#rd% 'q'\\ö"
    programs = postgres_address(
        f"{CLUSTER}&sslmode=verify-full", passfile="/a b/pgpass", ca="/x/ca"
    )
    app = postgres_address(f"{CLUSTER}&sslmode=verify-full", ca="/app/ca", password=secret)
    assert programs["place"] == "brai@ner@db1:5432,[2001:db8::1]:6432,db3:5432/brainer"
    ours, theirs = conninfo_to_dict(programs["url"]), conninfo_to_dict(app["url"])
    assert (ours.pop("passfile"), ours.pop("sslrootcert")) == ("/a b/pgpass", "/x/ca")
    assert (theirs.pop("password"), theirs.pop("sslrootcert")) == (secret, "/app/ca")
    # a client certificate that may not be read is an error
    assert theirs.pop("sslcert") == "/none"
    assert ours == theirs
    # a role that is held read-only is reached, too
    assert ours["target_session_attrs"] == "primary"
    assert ours["host"].split(",") == ["db1", "2001:db8::1", "db3"]


def test_sqlalchemy_reads_what_the_app_gets() -> None:
    cluster = "postgresql://b@db1,db2:6432/brainer?target_session_attrs=read-write"
    found = make_url(postgres_address(cluster, password="p@ss/%")["url"])
    _, words = psycopg.dialect().create_connect_args(found)
    assert (words["host"], words["port"]) == ("db1,db2", "5432,6432")
    assert (words["password"], words["dbname"]) == ("p@ss/%", "brainer")


def test_one_host_stays_as_it_was_written() -> None:
    assert postgres_address("postgresql://b@db/x", password="s")["url"].startswith(
        "postgresql://b:s@db:5432/x"
    )


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "it is not postgresql://"),
        ("mysql://b@db/x", "it is not postgresql://"),
        ("postgresql://b@db", "it is not postgresql://"),
        ("postgresql://db/x", "it is not postgresql://"),
        ("postgresql://b:s3cret@db/x", "postgres_password"),
        ("postgresql://b@db/x?password=s3cret", "postgres_password"),
        ("postgresql://b@db1,db2/x", "target_session_attrs=read-write"),
        ("postgresql://b@db1,db2/x?target_session_attrs=any", "target_session_attrs=read-write"),
        ("postgresql://b@db/x?sslmode=verify-full", "postgres_external_ca"),
        ("postgresql://b@db/x?sslrootcert=/root/ca.pem", "postgres_external_ca"),
        ("postgresql://b@/x", "it names no host"),
    ],
)
def test_is_refused(url: str, why: str) -> None:
    found = postgres_address(url)
    assert why in found["problem"] and found["url"] == ""
    assert "s3cret" not in found["problem"]
