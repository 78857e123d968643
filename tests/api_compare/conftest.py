from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from ..brainer.server import running_brainer


@pytest.fixture(scope="session")
def brainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The real app with a few rows; each test adds and changes rows of its own."""
    directory = tmp_path_factory.mktemp("brainer")
    (directory / "data").mkdir()
    with running_brainer(directory) as client:
        for i in range(3):
            course = {"slug": f"course-{i}", "title": "naïve 漢\n🧠", "content": {"n": [i, 0.1]}}
            client.post("/api/courses", json=course).raise_for_status()
        yield client


@pytest.fixture
def impatient_brainer(tmp_path: Path) -> AbstractContextManager[httpx.Client]:
    """The app behind a server that closes every connection as soon as it is idle."""
    (tmp_path / "data").mkdir()
    return running_brainer(tmp_path, UVICORN_TIMEOUT_KEEP_ALIVE="0")
