"""The directory of sets: one directory each, which has its final name only when all is proved.

/opt/brainer/backups/
  brainer-20261122T020000Z/    database.dump  globals.sql  manifest.json  SHA256SUMS
  .db_backup/                  lock, history, last drill; unfinished sets
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from pg_tools.files import publish, sync

from db_backup import manifest
from db_backup.errors import BackupError, Exit
from db_backup.manifest import DUMP, GLOBALS, MANIFEST, SUMS, Manifest
from db_backup.retention import SKEW

_NAME = re.compile(r"(?P<prefix>[A-Za-z0-9_.]+)-(?P<at>\d{8}T\d{6}Z)")
_BLOCK = 1024 * 1024


@dataclass(frozen=True)
class Set:
    """One published set; without a manifest it is damaged, and ``problem`` says how."""

    path: Path
    prefix: str
    at: datetime
    manifest: Manifest | None
    problem: str = ""

    @property
    def name(self) -> str:
        """The name of its directory."""
        return self.path.name

    @property
    def is_regular(self) -> bool:
        """Whether ``latest`` may mean it."""
        return self.manifest is None or self.manifest.kind == manifest.REGULAR

    @property
    def dump(self) -> Path:
        """The dump in it."""
        return self.path / DUMP

    def needed(self) -> Manifest:
        """The manifest.

        Raises:
            BackupError: there is none that can be read.
        """
        if self.manifest is None:
            raise damaged(self, [self.problem])
        return self.manifest


def taken_at(name: str, prefix: str = "") -> datetime | None:
    """When a set of this name was taken; None if it is no set's, or another database's."""
    words = _NAME.fullmatch(name)
    if words is None or prefix not in ("", words["prefix"]):
        return None
    with suppress(ValueError):
        return manifest.parse(words["at"])
    return None


def future(at: datetime) -> bool:
    """Whether the clock was ahead when a set was taken, or is behind now."""
    return at > manifest.now() + SKEW


def damaged(found: Set, problems: list[str]) -> BackupError:
    """A set that is not what it was."""
    return BackupError(
        "the set is damaged",
        where=str(found.path),
        details=problems[:8],
        next="take another one: db_backup list",
        code=Exit.DIFFERENT,
    )


def moment(text: str) -> datetime | None:
    """A time in UTC as a person writes it: ``2026-11-23``, meaning its end, or ``2026-11-23 14:30``; else None."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?)?Z?", text):
        return None
    text = text.removesuffix("Z")
    try:
        at = datetime.fromisoformat(text if len(text) > 10 else f"{text}T23:59:59")
    except ValueError:
        return None
    return at.replace(tzinfo=timezone.utc)


class Store:
    """All sets of a directory, and what the program keeps beside them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.private = directory / ".db_backup"

    def prepare(self) -> None:
        """Make what is missing; only its owner may look in."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.private.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise BackupError(
                f"the directory of the backups can't be used: {error.strerror}",
                where=str(self.directory),
                next="pass one that may be written to: --dir DIR",
            ) from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One run at a time; the lock of a killed run is gone with it.

        Raises:
            BackupError: another run has it (exit code 4).
        """
        self.prepare()
        handle = os.open(self.private / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                holder = os.read(handle, 200).decode("utf-8", "replace").strip()
                raise BackupError(
                    "another run is at work on these backups",
                    where=str(self.directory),
                    details=[holder] if holder else [],
                    next="wait until it is done",
                    code=Exit.LOCKED,
                ) from None
            os.ftruncate(handle, 0)
            os.write(
                handle, f"process {os.getpid()}, since {manifest.iso(manifest.now())}\n".encode()
            )
            yield
        finally:
            os.close(handle)

    @property
    def locked(self) -> bool:
        """Whether a run is at work."""
        try:
            handle = os.open(self.private / "lock", os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(handle)
        return False

    def sets(self, prefix: str = "") -> list[Set]:
        """Every set, the oldest first; nothing that only looks like one."""
        if not self.directory.is_dir():
            return []
        found = [self._read(path) for path in self.directory.iterdir()]
        ours = [one for one in found if one is not None and prefix in ("", one.prefix)]
        return sorted(ours, key=lambda one: (one.at, one.name))

    def find(self, name: str, prefix: str = "", at: datetime | None = None) -> Set:
        """A set by its name, or the newest readable one: ``latest``.

        Args:
            at: the newest one of this moment or before it.

        Raises:
            BackupError: there is none.
        """
        sets = self.sets(prefix)
        if name == "latest":
            sets = [one for one in sets if one.manifest is not None and one.is_regular]
            # one that a wrong clock made must not be the latest for ever
            sets = [one for one in sets if not future(one.at)] or sets
            sets = [one for one in sets if at is None or one.at <= at]
        else:
            sets = [one for one in sets if one.name == name]
        if not sets:
            raise BackupError(
                f"there is no set {name}"
                if name != "latest"
                else f"there is no backup of {at:%Y-%m-%d %H:%M:%S} UTC or before"
                if at
                else "there is no backup",
                where=str(self.directory),
                next="see what is there: db_backup list",
            )
        return sets[-1]

    def _read(self, path: Path) -> Set | None:
        words = _NAME.fullmatch(path.name)
        try:
            if words is None or not stat.S_ISDIR(path.lstat().st_mode):
                return None
            at = manifest.parse(words["at"])
        except (OSError, ValueError):
            return None
        try:
            found = manifest.read((path / MANIFEST).read_text(encoding="utf-8"))
        except FileNotFoundError:
            # a directory of somebody else has none; a set of ours that lost it still has its sums
            if not (path / SUMS).is_file():
                return None
            return Set(path, words["prefix"], at, None, "manifest.json is missing")
        except (OSError, ValueError) as error:
            return Set(path, words["prefix"], at, None, f"manifest.json can't be read: {error}")
        if found.name != path.name:
            return Set(path, words["prefix"], at, None, f"the manifest is that of {found.name}")
        return Set(path, words["prefix"], at, found)

    @contextmanager
    def unfinished(self) -> Iterator[Path]:
        """A directory for a set in the making, removed unless it was published."""
        self.sweep()
        path = self.private / f"unfinished-{os.getpid()}"
        path.mkdir(mode=0o700)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what killed runs left; call it with the lock."""
        for left in self.private.glob("unfinished-*"):
            shutil.rmtree(left, ignore_errors=True)

    def name_for(self, database: str, at: datetime) -> str:
        """A name for a set that is taken now."""
        return f"{self.prefix(database)}-{manifest.stamp(at)}"

    @staticmethod
    def prefix(database: str) -> str:
        """How the names of a database's sets begin."""
        return re.sub(r"[^A-Za-z0-9_.]", "_", database)

    def publish(self, unfinished: Path, found: Manifest) -> Set:
        """Give a set its final name; from here on it counts.

        Raises:
            BackupError: the name is taken.
        """
        publish(unfinished / MANIFEST, found.text())
        digests = {name: file.sha256 for name, file in found.files.items()}
        digests[MANIFEST] = sha256(unfinished / MANIFEST)
        publish(unfinished / SUMS, sums(digests))
        final = self.directory / found.name
        if os.path.lexists(final):
            raise BackupError(
                "there is a set of this second already (was the clock set back?)",
                where=str(final),
                next="run it again",
            )
        unfinished.rename(final)
        sync(self.directory)
        read = self._read(final)
        assert read is not None
        return read

    def remove(self, found: Set) -> None:
        """Delete a set: first its name goes, so that a kill leaves no half of one."""
        away = self.private / f"unfinished-{found.name}"
        shutil.rmtree(away, ignore_errors=True)
        found.path.rename(away)
        sync(self.directory)
        shutil.rmtree(away)


def sums(digests: dict[str, str]) -> str:
    """What SHA256SUMS must say, byte for byte; ``sha256sum --check`` reads it, too."""
    return "".join(f"{digests[name]}  {name}\n" for name in (DUMP, GLOBALS, MANIFEST))


def check(found: Set) -> list[str]:
    """Read every byte of a set; what is wrong with it, empty if nothing."""
    problems = [found.problem] if found.problem else []
    there = {path.name for path in found.path.iterdir()}
    wanted = {DUMP, GLOBALS, MANIFEST, SUMS}
    problems += [f"{name} is missing" for name in sorted(wanted - there)]
    problems += [f"{name} does not belong here" for name in sorted(there - wanted)]
    if wanted - there:
        return problems
    try:
        said = (found.path / SUMS).read_bytes().decode("ascii", "replace")
        true = sums({name: sha256(found.path / name) for name in (DUMP, GLOBALS, MANIFEST)})
    except OSError as error:
        return [*problems, f"can't be read: {error}"]
    if said != true:
        wrong = [line.split("  ")[1] for line in true.splitlines() if line not in said.splitlines()]
        problems += [f"{name} is not what it was" for name in wrong] or [
            f"{SUMS} is not what it was"
        ]
    if found.manifest is not None:
        for name, file in found.manifest.files.items():
            if f"{file.sha256}  {name}\n" not in true:
                problems.append(f"{name} is not what the manifest says")
    return list(dict.fromkeys(problems))


def sha256(path: Path) -> str:
    """Of a file, in constant memory, and without pushing the database's pages out of memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return digest.hexdigest()
