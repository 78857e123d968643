"""Settings of a program in a JSON file, checked against the dataclass that holds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pg_tools.errors import Exit, Failure


def read(path: Path, defaults: object, failure: type[Failure]) -> dict[str, Any]:
    """The settings of a file, each of the type that its default has.

    Args:
        defaults: an instance of the dataclass, all its fields at their defaults.
        failure: what to raise.

    Raises:
        failure: the file can't be read, or names a setting that doesn't exist.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _wrong(failure, path, error.strerror or str(error)) from None
    except ValueError as error:
        raise _wrong(failure, path, f"it is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise _wrong(failure, path, "it is not a JSON object")
    unknown = sorted(set(found) - set(vars(defaults)))
    if unknown:
        raise _wrong(failure, path, f"unknown settings: {', '.join(unknown)}")
    for name, value in found.items():
        default = getattr(defaults, name)
        wanted = (int, float) if isinstance(default, float) else type(default)
        if isinstance(default, Path):
            found[name] = Path(str(value))
        elif isinstance(default, tuple):
            if not isinstance(value, list):
                raise _wrong(failure, path, f"{name} must be a list")
            found[name] = tuple(map(str, value))
        elif not isinstance(value, wanted) or isinstance(value, bool) != isinstance(default, bool):
            raise _wrong(failure, path, f"{name} must be of type {type(default).__name__}")
    return found


def _wrong(failure: type[Failure], path: Path, why: str) -> Failure:
    return failure(
        f"the settings can't be used: {why}",
        where=str(path),
        next="correct the file, or pass another one with --config",
        code=Exit.USAGE,
    )
