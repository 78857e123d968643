"""The programs as one archive that is the same, byte for byte, as long as the programs are."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: toolkit_bundle
short_description: Packs Python packages of the controller into one deterministic archive
description:
  - The archive lies in Ansible's own temporary directory, which goes away with the play.
options:
  _terms:
    required: true
    description: The directory that holds the packages, the names of the programs, and of what these import.
"""

RETURN = r"""
_raw: {type: list, elements: dict, description: "One dict: path of the archive and digest of what is in it"}
"""


def files_of(package: Path) -> Iterator[Path]:
    for path in sorted(package.rglob("*")):
        hidden = any(
            part.startswith(".") or part == "__pycache__"
            for part in path.relative_to(package).parts
        )
        if path.is_file() and not hidden:
            yield path


def pack(source: Path, names: list[str]) -> bytes:
    """Sorted, and without what differs between two controllers: owners, times, permissions."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(names):
            for path in files_of(source / name):
                entry = tarfile.TarInfo(str(path.relative_to(source)))
                content = path.read_bytes()
                entry.size, entry.mode = len(content), 0o644
                archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


class LookupModule(LookupBase):
    def run(
        self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[dict[str, str]]:
        source, names = Path(terms[0]).resolve(), [str(name) for name in terms[1]]
        libraries = [str(name) for name in terms[2]]
        missing = [name for name in names if not (source / name / "__main__.py").is_file()]
        if missing or not names:
            raise AnsibleError(
                f"toolkit_programs: {', '.join(missing) or 'empty'}; no such program in {source}."
            )
        content = pack(source, names + libraries)
        digest = hashlib.sha256(content).hexdigest()[:12]
        path = Path(constants.DEFAULT_LOCAL_TMP) / f"toolkit-{digest}.tar.gz"
        if not path.exists():
            path.write_bytes(gzip.compress(content, mtime=0))
        return [{"path": str(path), "digest": digest}]
