"""A copy elsewhere, by restic: encrypted before it leaves, and with a retention and a check of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pg_tools.files import publish, sync

from db_backup import emptied, manifest, store
from db_backup.errors import BackupError, Exit
from db_backup.run import Run
from db_backup.store import Set, Store
from db_backup.tools import execute
from db_backup.watch import Watch

_TAG = "db_backup"


def configured(run: Run) -> bool:
    """Whether a copy elsewhere is wanted."""
    return bool(run.options.offsite_repository)


def push(run: Run) -> str:
    """Send the sets that are not there yet, then let the old ones go. The local sets are only read.

    Returns:
        the name of the newest set that is there.

    Raises:
        BackupError: restic's words.
    """
    sets = [one for one in run.store.sets() if one.manifest is not None and not store.check(one)]
    if not sets:
        raise BackupError("there is no whole set to send", where=str(run.store.directory))
    with run.log.step("off-site"):
        _open(run)
        there = {name for name, _ in names(run)}
        for one in sets:
            if one.name not in there:
                # a tag with the set's name: what is there can be told without fetching it
                kind = [] if one.is_regular else ["--tag", manifest.BEFORE]
                _restic(
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
    _note(run, pushed=newest, pushed_at=manifest.iso(manifest.now()))
    return newest


def _forget(run: Run, sets: list[Set]) -> None:
    """Let the old ones go that are elsewhere; restic does not know what is in them."""
    regular = [one for one in sets if one.is_regular]
    if regular and not emptied.rows(regular[-1]):
        run.log.say("[off-site] the newest set has not a single row: nothing goes because of it")
        return
    _restic(
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
    percent = run.options.offsite_check_percent
    with run.log.step("off-site check"):
        _restic(run, ["check", *([f"--read-data-subset={percent}%"] if percent else [])])
    _note(run, checked_at=manifest.iso(manifest.now()))


def names(run: Run, regular: bool = False) -> list[tuple[str, str]]:
    """Sets that are elsewhere, with restic's name for each.

    Args:
        regular: only those that ``latest`` may mean.
    """
    said = _restic(run, ["snapshots", "--tag", _TAG, "--json"])
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
            where=_shown(run),
            next="see what is there: db_backup offsite list",
        )
    if name == "latest":
        _demand_rows(run, there, chosen, again)
    if (run.store.directory / chosen).is_dir():
        run.log.say(f"[off-site] {chosen} is here already")
        return run.store.find(chosen)
    with run.store.unfinished() as directory, run.log.step("fetch"):
        _restic(run, ["restore", there[chosen], "--target", str(directory)])
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
            _restic(run, ["dump", snapshot, f"/{name}/{manifest.MANIFEST}"])
        ).contents.rows
    return None


def last(private: Path) -> dict[str, Any]:
    """When a set was last sent, and the repository last checked."""
    try:
        found = json.loads((private / "offsite.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _note(run: Run, **news: str) -> None:
    known = last(run.store.private) | news
    publish(run.store.private / "offsite.json", json.dumps(known) + "\n")


def _open(run: Run) -> None:
    """Make the repository if there is none; never over one that only does not answer."""
    try:
        _restic(run, ["cat", "config"])
    except BackupError as error:
        said = " ".join(error.details).lower()
        if not any(
            sign in said for sign in ("is there a repository at", "repository does not exist")
        ):
            raise
        run.log.say("[off-site] a new repository")
        try:
            _restic(run, ["init"])
        except BackupError:
            # restic says the same of a place it can't reach: its first words tell more
            raise error from None


def _restic(run: Run, words: Sequence[str], cwd: Path | None = None) -> str:
    if not configured(run):
        raise BackupError(
            "no off-site repository is set",
            next="set offsite_repository and offsite_password_file in the settings",
            code=Exit.USAGE,
        )
    if shutil.which("restic") is None:
        raise BackupError("restic was not found", next="apt-get install restic")
    watch = Watch(min(run.options.offsite_timeout, run.watch.left), run.store.directory, 0)
    patience = ["--retry-lock", "1m"] if _waits() else []
    with tempfile.TemporaryFile() as out:
        try:
            execute(
                ["restic", *patience, *words], watch, _environment(run),
                stdout=out, name=f"restic {words[0]}", cwd=cwd,
            )  # fmt: skip
        except BackupError as error:
            raise BackupError(
                error.what,
                where=_shown(run),
                details=[line for line in error.details if line.strip()],
                next="the local sets are as they were; when the repository answers again:"
                " db_backup offsite push",
            ) from None
        out.seek(0)
        return out.read().decode("utf-8", "replace")


def _waits() -> bool:
    """Before 0.16 restic has no --retry-lock."""
    done = subprocess.run(["restic", "version"], capture_output=True, text=True, check=False)
    words = done.stdout.split()
    number = words[1].split(".") if len(words) > 1 else ["0", "0"]
    return [int(part) for part in number[:2] if part.isdigit()] >= [0, 16]


def _environment(run: Run) -> dict[str, str]:
    """Secrets go by file or environment; restic shows neither."""
    found = {
        "HOME": os.environ.get("HOME", "/root"),
        "RESTIC_REPOSITORY": run.options.offsite_repository,
        "RESTIC_CACHE_DIR": str(run.store.private / "restic-cache"),
    }
    if run.options.offsite_password_file:
        found["RESTIC_PASSWORD_FILE"] = run.options.offsite_password_file
    if run.options.offsite_env_file:
        for line in Path(run.options.offsite_env_file).read_text(encoding="utf-8").splitlines():
            key, sign, value = line.partition("=")
            if sign and not line.startswith("#"):
                found[key.strip()] = value.strip()
    return found


def _shown(run: Run) -> str:
    """The repository, without a password that a rest: URL may hold."""
    where = run.options.offsite_repository
    scheme, sign, rest = where.partition("//")
    return f"{scheme}//{rest.rpartition('@')[2]}" if sign else where
