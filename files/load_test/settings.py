"""What is asked of the app, and how often. Bounded: a slip of the pen must not become an attack."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pg_tools.errors import Exit, Failure

#: The most that is taken from the settings.
_MOST = {"requests": 200_000, "concurrency": 200, "seconds": 900, "write_percent": 100}


@dataclass(frozen=True)
class Call:
    """One request; ``{id}`` in path and body is already a number."""

    method: str
    path: str
    body: str = ""


@dataclass(frozen=True)
class Settings:
    """Both loads.

    ``reads`` are paths; a write is ``{method, path, body, ids}``, where ``ids`` is the path of a list whose elements'
    ``id`` stand for ``{id}`` in path and body, one request for each.
    """

    path: str = "/"
    requests: int = 1000
    concurrency: int = 10
    seconds: int = 10
    write_percent: int = 20
    timeout: int = 30  #: seconds that one answer may take
    reads: tuple[str, ...] = ()
    writes: tuple[dict[str, Any], ...] = ()


def from_file(path: Path) -> Settings:
    """The settings in a JSON file.

    Raises:
        Failure: they are not what they should be.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        unknown = set(found) - {field.name for field in fields(Settings)}
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        found |= {name: tuple(found[name]) for name in ("reads", "writes") if name in found}
        settings = Settings(**found)
        for name, most in _MOST.items():
            value = getattr(settings, name)
            if type(value) is not int or not 0 <= value <= most:
                raise ValueError(f"{name} is {value!r}; it can be 0 to {most}")
        if settings.concurrency > settings.requests or not settings.concurrency:
            raise ValueError("concurrency must be 1 or more, and not more than requests")
    except OSError as error:
        raise _wrong(path, error.strerror or str(error)) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise _wrong(path, str(error)) from error
    return settings


def _wrong(path: Path, why: str) -> Failure:
    return Failure("the settings can't be used", where=str(path), details=[why], code=Exit.USAGE)


def demand_local(url: str) -> None:
    """Only this machine and its containers: a load on somebody else's server is not a test.

    Raises:
        Failure: it is another host.
    """
    host = urlsplit(url).hostname or ""
    words = ["ip", "-json", "route", "get", "127.0.0.1" if host == "localhost" else host]
    asked = subprocess.run(words, capture_output=True, text=True, check=False)
    devices = [route.get("dev", "") for route in json.loads(asked.stdout or "[]")]
    # a name is refused, too: who knows where that is
    if not devices or not all(name.startswith(("lo", "docker", "br-")) for name in devices):
        raise Failure(
            "only an app on this machine is put under load",
            where=url,
            next="give its address on loopback or in Docker's network: http://127.0.0.1:8000",
            code=Exit.USAGE,
        )


def reads(settings: Settings) -> list[Call]:
    """The reading requests of the mixed load."""
    return [Call("GET", path) for path in settings.reads or (settings.path,)]


def writes(settings: Settings, url: str) -> list[Call]:
    """The writing requests of the mixed load, for the rows that are there.

    Raises:
        Failure: the app doesn't list them.
    """
    calls = []
    for one in settings.writes:
        keys = _ids(url + one["ids"], settings.timeout) if one.get("ids") else [""]
        body = json.dumps(one.get("body", {}))
        calls += [
            Call(one["method"], one["path"].replace("{id}", key), body.replace("{id}", key))
            for key in keys
        ]
    return calls


def _ids(url: str, timeout: int) -> list[str]:
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            found = [str(element["id"]) for element in json.load(answer)]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Failure(
            "the app does not list the rows that are to be changed",
            where=url,
            details=[str(error)],
            next="correct `ids` of benchmark_writes: the path of a list whose elements have an id",
        ) from error
    if not found:
        raise Failure("the list has no rows", where=url, next="take another one in benchmark_writes")  # fmt: skip
    return found
