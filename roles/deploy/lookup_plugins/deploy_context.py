"""The app's sources as one archive that is the same, byte for byte, as long as they are."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: deploy_context
short_description: Packs what an image is made of into one deterministic archive
description:
  - The archive lies in Ansible's own temporary directory, which goes away with the play.
options:
  _terms:
    required: true
    description: The directory of the sources, and the names (patterns) that are left out.
"""

RETURN = r"""
_raw: {type: list, elements: dict, description: "One dict: path of the archive and digest of what is in it"}
"""


def files_of(source: Path, excluded: list[str]) -> Iterator[Path]:
    """Files and links to files, sorted; a part of the path that is excluded takes along what is below it."""
    for path in sorted(source.rglob("*")):
        parts = path.relative_to(source).parts
        left_out = any(fnmatch(part, pattern) for part in parts for pattern in excluded)
        if path.is_file() and not left_out:
            yield path


def pack(source: Path, excluded: list[str]) -> bytes:
    """Sorted, and without what differs between two controllers: owners, times, all modes but ``x``."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in files_of(source, excluded):
            entry = tarfile.TarInfo(str(path.relative_to(source)))
            content = path.read_bytes()
            entry.size = len(content)
            entry.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


class LookupModule(LookupBase):
    def run(
        self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[dict[str, str]]:
        source = Path(terms[0]).resolve()
        try:
            content = pack(source, [str(pattern) for pattern in terms[1]])
        except OSError as error:
            raise AnsibleError(f"deploy_source: {error.filename}: {error.strerror}") from error
        digest = hashlib.sha256(content).hexdigest()[:16]
        path = Path(constants.DEFAULT_LOCAL_TMP) / f"sources-{digest}.tar.gz"
        if not path.exists():
            path.write_bytes(gzip.compress(content, mtime=0))
        return [{"path": str(path), "digest": digest}]
