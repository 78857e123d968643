"""What was found damaged, remembered: a status reads no set to its last byte, and must say it all the same."""

from __future__ import annotations

import json

from pg_tools.files import publish

from db_backup import store
from db_backup.run import Run
from db_backup.store import Set, Store

#: Who found it. Bytes that are whole say nothing against a drill that got other rows out of them.
BYTES, DRILL = "bytes", "drill"


def check(run: Run, one: Set) -> list[str]:
    """``store.check``, and remember what it says of a set of this directory."""
    problems = store.check(one)
    note(run, one, BYTES, "; ".join(problems))
    return problems


def note(run: Run, one: Set, found_by: str, what: str) -> None:
    """Remember what is wrong with a set; that nothing is, when ``what`` is empty."""
    if one.path.parent == run.store.directory:
        _write(run, one.name, _read(run.store).get(one.name, {}) | {found_by: what})


def forget(run: Run, name: str) -> None:
    """Another copy has taken the place of a set."""
    _write(run, name, {})


def known(sets: Store) -> dict[str, str]:
    """What was found of sets that are still there, by their names."""
    return {
        name: "; ".join(found.values())
        for name, found in _read(sets).items()
        if (sets.directory / name).is_dir()
    }


def _write(run: Run, name: str, found: dict[str, str]) -> None:
    before = _read(run.store)
    after = before | {name: {by: what for by, what in found.items() if what}}
    after = {
        name: what for name, what in after.items() if what and (run.store.directory / name).is_dir()
    }
    if after == before:
        return
    try:
        run.store.private.mkdir(exist_ok=True, mode=0o700)
        publish(run.store.private / "damaged.json", json.dumps(after) + "\n")
    except OSError as error:
        # a disk that goes bad is often read-only by then: what was found is said anyway
        run.log.say(f"[damage] can't be remembered: {error.strerror}")


def _read(sets: Store) -> dict[str, dict[str, str]]:
    try:
        found = json.loads((sets.private / "damaged.json").read_text(encoding="utf-8"))
        return {str(name): dict(what) for name, what in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
