"""A copy elsewhere, by restic: encrypted before it leaves, and with a retention and a check of its own."""

from __future__ import annotations

import json
import os
from contextlib import suppress

from pg_tools.files import sync

from db_backup import damage, emptied, manifest, repository, restic, store
from db_backup.errors import BackupError, Exit
from db_backup.run import Run
from db_backup.store import Set, Store

_TAG = "db_backup"


def push(run: Run, anew: bool = False) -> str:
    """Send the sets that are not there yet, then let the old ones go. The local sets are only read.

    Args:
        anew: see ``repository.open_``.

    Returns:
        the name of the newest set that is there.

    Raises:
        BackupError: restic's words, or the repository is not the one that was used before.
    """
    there_are = [one for one in run.store.sets() if one.manifest is not None]
    sets = [one for one in there_are if not damage.check(run, one)]
    if not sets:
        raise BackupError("there is no whole set to send", where=str(run.store.directory))
    with run.log.step("off-site"):
        repository.open_(run, anew)
        there = {name for name, _ in names(run)}
        for one in sets:
            if one.name not in there:
                # a tag with the set's name: what is there can be told without fetching it
                kind = [] if one.is_regular else ["--tag", manifest.BEFORE]
                restic.call(
                    run, ["backup", "--tag", _TAG, "--tag", one.name, *kind, "--time",
                          one.at.strftime("%Y-%m-%d %H:%M:%S"), one.name],
                    cwd=run.store.directory,
                )  # fmt: skip
        _forget(run, sets)
    newest = sets[-1].name
    if newest not in {name for name, _ in names(run)}:
        raise BackupError(
            "the newest set is not in the off-site repository, though restic said nothing",
            where=newest,
            next="look at it: db_backup offsite list",
        )
    repository.note(run, pushed=newest, pushed_at=manifest.iso(manifest.now()))
    return newest


def _forget(run: Run, sets: list[Set]) -> None:
    """Let the old ones go that are elsewhere; restic does not know what is in them."""
    regular = [one for one in sets if one.is_regular]
    if regular and not emptied.rows(regular[-1]):
        run.log.say("[off-site] the newest set has not a single row: nothing goes because of it")
        return
    restic.call(
        run,
        ["forget", "--tag", _TAG, "--group-by", "host", "--prune",
         "--keep-within", f"{run.options.offsite_keep_days}d",
         "--keep-weekly", str(run.options.offsite_keep_weeks),
         "--keep-monthly", str(run.options.offsite_keep_months),
         "--keep-last", str(max(run.options.keep_least, 1))],
    )  # fmt: skip


def check(run: Run) -> None:
    """Let restic prove its repository, and read a part of the data itself.

    Raises:
        BackupError: the copy elsewhere is damaged or can't be reached.
    """
    repository.demand(run)
    percent = run.options.offsite_check_percent
    with run.log.step("off-site check"):
        restic.call(run, ["check", *([f"--read-data-subset={percent}%"] if percent else [])])
    repository.note(run, checked_at=manifest.iso(manifest.now()))


def names(run: Run, regular: bool = False) -> list[tuple[str, str]]:
    """Sets that are elsewhere, with restic's name for each.

    Args:
        regular: only those that ``latest`` may mean.
    """
    said = restic.call(run, ["snapshots", "--tag", _TAG, "--json"])
    found = []
    for snapshot in json.loads(said or "[]") or []:
        tags = snapshot.get("tags") or []
        if not regular or manifest.BEFORE not in tags:
            found += [(name, str(snapshot["id"])) for name in tags if store.taken_at(name)]
    return sorted(found)


def fetch(run: Run, name: str, again: str) -> Set:
    """Bring a set from elsewhere into the local directory; the lock is held by the caller.

    Args:
        name: the set's name, or ``latest``: the newest one of the URL's database.
        again: the command with ``{}`` for a set's name, should the newest one have no row.

    Raises:
        BackupError: it is not there, or did not arrive whole; nothing local was changed.
    """
    there = dict(names(run, regular=name == "latest"))
    chosen = _latest(run, list(there)) if name == "latest" else name
    if chosen not in there:
        raise BackupError(
            f"there is no set {name} in the off-site repository",
            where=restic.shown(run),
            next="see what is there: db_backup offsite list",
        )
    if name == "latest":
        _demand_rows(run, there, chosen, again)
    if (run.store.directory / chosen).is_dir():
        run.log.say(f"[off-site] {chosen} is here already")
        return run.store.find(chosen)
    with run.store.unfinished() as directory, run.log.step("fetch"):
        restic.call(run, ["restore", there[chosen], "--target", str(directory)])
        arrived = [path.parent for path in directory.rglob(manifest.MANIFEST)]
        if len(arrived) != 1 or arrived[0].name != chosen:
            raise BackupError(
                "what came from elsewhere is no set", where=chosen, code=Exit.DIFFERENT
            )
        found = Store(arrived[0].parent).find(chosen)
        problems = store.check(found)
        if problems:
            raise store.damaged(found, problems)
        os.chmod(arrived[0], 0o700)
        arrived[0].rename(run.store.directory / chosen)
        sync(run.store.directory)
        damage.forget(run, chosen)
    return run.store.find(chosen)


def _latest(run: Run, there: list[str]) -> str:
    prefix = run.store.prefix(run.database) if run.options.url else ""
    taken = {name: at for name in there if (at := store.taken_at(name, prefix))}
    # one that a wrong clock made must not be the latest for ever
    past = {name: at for name, at in taken.items() if not store.future(at)} or taken
    return max(past, key=lambda name: past[name], default="latest")


def _demand_rows(run: Run, there: dict[str, str], chosen: str, again: str) -> None:
    """The newest one may be of a server that lost its data. The manifests alone are fetched to see it."""
    if _rows(run, chosen, there[chosen]) != 0:
        return
    prefix = chosen.rpartition("-")[0]
    for name in sorted(there, reverse=True):
        if name < chosen and store.taken_at(name, prefix):
            rows = _rows(run, name, there[name])
            if rows:
                raise emptied.refused(chosen, f"{name}, {rows:,} rows", again.format(name))


def _rows(run: Run, name: str, snapshot: str) -> int | None:
    """Rows of a set that is elsewhere; None if its manifest can't be read."""
    with suppress(BackupError, ValueError):
        return manifest.read(
            restic.call(run, ["dump", snapshot, f"/{name}/{manifest.MANIFEST}"])
        ).contents.rows
    return None
