"""When two JSON values are the same."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple


class Absent:
    """Stands for a field that is not there: not null, and equal to no value an API can give."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT = Absent()


class FieldDifference(NamedTuple):
    field: str
    before: Any
    after: Any


def field_differences(before: Any, after: Any, field: str = "") -> Iterator[FieldDifference]:
    """Every place where the two differ, as ``content.blocks[2].text``.

    The order of an object's keys means nothing; everything else does: 1 is not 1.0, nor true, and
    -0.0 is not 0.0. (Python's own == says otherwise in each case.)
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before | after:
            name = f"{field}.{key}" if field else key
            yield from field_differences(before.get(key, ABSENT), after.get(key, ABSENT), name)
    elif isinstance(before, list) and isinstance(after, list):
        for i in range(max(len(before), len(after))):
            yield from field_differences(
                before[i] if i < len(before) else ABSENT,
                after[i] if i < len(after) else ABSENT,
                f"{field}[{i}]",
            )
    elif type(before) is not type(after) or repr(before) != repr(after):
        yield FieldDifference(field or "(whole answer)", before, after)


def digest(value: Any) -> str:
    """Short, and the same for two values exactly when `field_differences` finds nothing."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=12).hexdigest()
