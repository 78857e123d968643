from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ..postgres import PostgresContainer
from .program import SAMPLE, Program


@pytest.fixture
def program(
    tmp_path: Path, admin_url: str, database_url: str, postgres_container: PostgresContainer
) -> Program:
    """On a database with the sample; as a superuser, whose password goes by URL."""
    name = str(conninfo_to_dict(database_url)["dbname"])
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(SAMPLE.encode())
    directory = tmp_path / "backups"
    return Program(directory, make_conninfo(admin_url, dbname=name), postgres_container.name)
