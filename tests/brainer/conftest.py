from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .server import running_brainer


@pytest.fixture(params=["sqlite", "postgres"])
def brainer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[httpx.Client]:
    """The app on each database: every test that takes this demands the same answers of both."""
    (tmp_path / "data").mkdir()
    settings = {"DB_TYPE": request.param}
    if request.param == "postgres":
        settings["DATABASE_URL"] = request.getfixturevalue("database_url")
    with running_brainer(tmp_path, **settings) as client:
        yield client
