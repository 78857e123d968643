"""What the operator says: lists, as JSON."""

import json
from pathlib import Path
from typing import Any

from api_compare.errors import BadInput


def read_list(path: Path, example: str) -> list[Any]:
    """Read a list that isn't empty.

    Raises:
        BadInput: it is none; the message shows ``example``.
    """
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: {error}") from error
    if not isinstance(listed, list) or not listed:
        raise BadInput(f"{path}: must be a list like {example}")
    return listed
