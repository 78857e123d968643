"""What was found, as a person reads it."""

from __future__ import annotations

from collections.abc import Sequence

from db_doctor.finding import Finding


def lines(found: Sequence[Finding], notes: Sequence[str], advice: Sequence[str]) -> list[str]:
    """One line when all is well; else each cause, in the order in which to mend them."""
    said = [verdict(found)]
    for number, one in enumerate(found, 1):
        said += ["", f"{number}. {one.name}: {one.cause}"]
        said += [f"   evidence  {line}" for line in one.evidence]
        said.append(f"   mend      {one.next}")
        if one.by_hand:
            said.append(f"   by hand   {one.by_hand}")
    if notes:
        said += ["", "not looked at:", *(f"   {note}" for note in notes)]
    if advice:
        said += ["", "advice:", *(f"   {line}" for line in advice)]
    return said


def verdict(found: Sequence[Finding]) -> str:
    """The first line."""
    if not found:
        return "nothing found"
    if len(found) == 1:
        return "1 problem found"
    return f"{len(found)} problems found; mend the first one first"
