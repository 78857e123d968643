"""The files that a command writes: none in the place of another, and each where it can be written.

Asked before anything else happens. A run that ends with every row proved and no place for its snapshot is a nuisance;
one that writes its report over the source is worse.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from migrate_db.errors import Exit, MigrationError
from migrate_db.sqlite.source import BESIDE

#: Options that name a file to be written.
_WRITTEN = (
    "report", "html", "findings", "write_mapping", "rows", "events", "keep_snapshot", "quarantine_file", "into",
)  # fmt: skip


def demand(words: argparse.Namespace) -> None:
    """See that every file that was asked for can have its place.

    Raises:
        MigrationError: two options name one file, or a directory is not there or not to be written (exit code 2).
    """
    try:
        _demand_apart(words)
    except MigrationError:
        words.report = words.html = None  # what is said of it is written nowhere
        raise
    _demand_places(words)


def _demand_apart(words: argparse.Namespace) -> None:
    places = _places(words, (*_WRITTEN, "source", "mapping"))
    if "source" in places:  # what SQLite keeps beside it is a part of it
        file = places["source"].resolve()
        places |= {f"source{end}": file.with_name(file.name + end) for end in BESIDE}
    for one in _WRITTEN:
        for other in places.keys() - {one}:
            # of these two, `reverse` says more
            if one not in places or {one, other} == {"into", "source"}:
                continue
            if _is_same(places[one], places[other]):
                names = sorted(map(_option, (one, other)))
                raise MigrationError(
                    f"{names[0]} and {names[1]} are the same file",
                    where=str(places[one]),
                    next="give each a name of its own; nothing was changed",
                    code=Exit.USAGE,
                )


def _demand_places(words: argparse.Namespace) -> None:
    # of the file that `reverse` makes it says more itself
    for option, path in _places(words, tuple(o for o in _WRITTEN if o != "into")).items():
        directory = path.resolve().parent
        if path.is_dir():
            why = "it is a directory"
        elif option == "quarantine_file" and path.exists() and not words.rehearse:
            # rows that were put aside before are in it
            why = "it is there already"
        elif not directory.is_dir():
            why = f"there is no directory {directory}"
        elif not (os.access(directory, os.W_OK) or os.access(path, os.W_OK)):
            why = f"{directory} is not to be written to"
        else:
            continue
        setattr(words, option, None)  # what is said of it isn't written there, either
        raise MigrationError(
            f"{_option(option)} can't be written: {why}",
            where=str(path),
            next="make it, or pass another file; nothing was changed",
            code=Exit.USAGE,
        )


def _places(words: argparse.Namespace, options: tuple[str, ...]) -> dict[str, Path]:
    given = {option: getattr(words, option, None) for option in options}
    return {option: path for option, path in given.items() if isinstance(path, Path)}


def _option(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _is_same(one: Path, other: Path) -> bool:
    if one.resolve() == other.resolve():
        return True
    return one.exists() and other.exists() and one.samefile(other)
