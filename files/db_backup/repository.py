"""Which repository is ours: by the id that restic gave it, so that an empty mount point is no new beginning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pg_tools.files import publish

from db_backup import restic
from db_backup.errors import BackupError
from db_backup.run import Run

_ANEW = "db_backup offsite push --begin-anew"


def open_(run: Run, anew: bool = False) -> None:
    """Make the repository if there never was one, and remember it.

    Args:
        anew: what is at its place now, another one or none, is wanted.

    Raises:
        BackupError: it is not the one that was used before, or does not answer.
    """
    try:
        found = _id(run)
    except BackupError as error:
        if not _missing(error):
            raise
        if _used(run) and not anew:
            raise _gone(run, error) from None
        run.log.say("[off-site] a new repository")
        try:
            restic.call(run, ["init"])
        except BackupError:
            # restic says the same of a place it can't reach: its first words tell more
            raise error from None
        found = _id(run)
    if not anew:
        _demand_known(run, found)
    note(run, repositories=_ids(run) | {restic.shown(run): found}, trouble={})


def demand(run: Run) -> None:
    """It must be the one that was used before; nothing is made.

    Raises:
        BackupError: it is another one, or none.
    """
    try:
        found = _id(run)
    except BackupError as error:
        raise (_gone(run, error) if _missing(error) and _used(run) else error) from None
    _demand_known(run, found)


def trouble(run: Run) -> str:
    """What was wrong with the repository of the settings when it was last asked; empty if nothing."""
    found = last(run.store.private).get("trouble") or {}
    return str(found.get(restic.shown(run), ""))


def last(private: Path) -> dict[str, Any]:
    """When a set was last sent, the repository last checked, and which one it was."""
    try:
        found = json.loads((private / "offsite.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def note(run: Run, **news: object) -> None:
    """Remember something for ``last``."""
    known = last(run.store.private) | news
    publish(run.store.private / "offsite.json", json.dumps(known) + "\n")


def _id(run: Run) -> str:
    return str(json.loads(restic.call(run, ["cat", "config"]))["id"])


def _ids(run: Run) -> dict[str, str]:
    """The ids of the repositories that were used, by their places."""
    return dict(last(run.store.private).get("repositories") or {})


def _used(run: Run) -> bool:
    """Whether there was one at this place; a record of before ids were kept says only that there was one."""
    known = _ids(run)
    return restic.shown(run) in known or (not known and "pushed" in last(run.store.private))


def _missing(error: BackupError) -> bool:
    said = " ".join(error.details).lower()
    return "is there a repository at" in said or "repository does not exist" in said


def _demand_known(run: Run, found: str) -> None:
    known = _ids(run).get(restic.shown(run), found)
    if found != known:
        what = "there is another off-site repository than the one that was used before"
        raise _said(run, what, [f"its id is {found[:12]}, the former one's {known[:12]}"])


def _gone(run: Run, error: BackupError) -> BackupError:
    return _said(run, "the off-site repository is gone from its place", error.details)


def _said(run: Run, what: str, details: list[str]) -> BackupError:
    where = restic.shown(run)
    note(run, trouble={where: f"{what}: {where}"})
    return BackupError(
        what,
        where=where,
        details=details,
        next="is it mounted, and the right one? then: db_backup offsite push; is it to begin anew"
        f" with what is there now: {_ANEW}",
    )
