import shutil
from pathlib import Path

import pytest
from sample_data import fill

from .program import Program


@pytest.fixture
def work(tmp_path: Path) -> Path:
    directory = tmp_path / "work"
    directory.mkdir()
    return directory


@pytest.fixture
def program(work: Path, database_url: str) -> Program:
    return Program(work, database_url)


@pytest.fixture(scope="session")
def _brainer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("brainer") / "brainer.db"
    fill(path, exercises=700, seed=7)
    return path


@pytest.fixture
def brainer(_brainer: Path, tmp_path: Path) -> Path:
    """A Brainer on SQLite, in a directory of its own."""
    directory = tmp_path / "brainer"
    directory.mkdir()
    return Path(shutil.copy(_brainer, directory / "brainer.db"))
