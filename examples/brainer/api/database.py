"""The one place that knows which database Brainer is on.

``DB_TYPE=sqlite`` (the default) or ``DB_TYPE=postgres`` with ``DATABASE_URL``.
Nothing else in the app changes when it moves from one to the other.
"""

import os
from collections.abc import Iterator
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.pool import QueuePool


class Base(DeclarativeBase):
    """All models derive from this, so that ``Base.metadata`` knows every table."""


def sqlite_engine(url: str | URL) -> Engine:
    engine = create_engine(
        url,
        # SQLite's own option; psycopg refuses it. FastAPI may open a session in one thread and
        # use it in another, though never in two at once. (SQLAlchemy 2 would do this unasked.)
        connect_args={"check_same_thread": False},
    )

    # SQLite checks foreign keys only when asked, on every connection anew. PostgreSQL always
    # does: an app that never asked finds its orphans on the day it migrates.
    @event.listens_for(engine, "connect")
    def enforce_foreign_keys(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA foreign_keys=ON")

    return engine


def postgres_engine(url: str | URL) -> Engine:
    url = make_url(url)
    # Hosting panels hand out `postgresql://` (some still `postgres://`). Name the driver, or
    # SQLAlchemy picks one by its own version: psycopg2 in 2.0, psycopg 3 in 2.1.
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    return create_engine(
        url,
        poolclass=QueuePool,
        pool_size=5,  # kept open
        max_overflow=10,  # opened under load: at most 15 of the server's max_connections
        pool_timeout=30,  # seconds a request waits for a free one
        pool_recycle=3600,  # a firewall may have dropped what has been idle for an hour
        pool_pre_ping=True,  # a restarted server costs one round trip, not one failed request
        connect_args={
            "connect_timeout": 10,  # an unreachable server is an error, not a hang
            # Our times are naive UTC. Without this, now() in a column default would follow
            # whatever time zone the server happens to be set to.
            "options": "-c timezone=UTC",
        },
    )


def engine_from_environment() -> Engine:
    db_type = os.environ.get("DB_TYPE", "sqlite")
    if db_type == "sqlite":
        return sqlite_engine(os.environ.get("SQLITE_URL") or "sqlite:///./data/brainer.db")
    if db_type == "postgres":
        url = os.environ.get("DATABASE_URL")
        if not url:
            raise RuntimeError(
                "DB_TYPE=postgres needs DATABASE_URL=postgresql://user:pw@host:5432/db"
            )
        return postgres_engine(url)
    raise RuntimeError(f"DB_TYPE is {db_type!r}; it must be 'sqlite' or 'postgres'")


engine = engine_from_environment()
SessionLocal = sessionmaker(engine)


def get_db() -> Iterator[Session]:
    """One session for one request; what was not committed is rolled back."""
    with SessionLocal() as session:
        yield session
