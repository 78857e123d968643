"""Whether a run may load into a target, by what the two of them hold and what is known of the target."""

from __future__ import annotations

import shlex

from migrate_db import sql, stations
from migrate_db.errors import MigrationError
from migrate_db.options import Options
from migrate_db.planning.plan import Plan
from migrate_db.postgresql import state
from migrate_db.postgresql.state import State
from migrate_db.postgresql.target import Target
from migrate_db.report import Report

#: Tables that an advice spells out.
_NAMED = 5
#: What can be done about rows that only PostgreSQL has.
_LEAD_BACK = (
    "lead it back first: migrate_db close, then migrate_db reverse; or, if it is in the source already, or given up:"
    " --given-up; or --replace --keep-dump DIR, which keeps a dump of what is there"
)


def demand_content(options: Options, found: Plan, report: Report) -> None:
    """Refuse a source with nothing in it, which is the wrong file more often than not.

    Raises:
        MigrationError: and nobody has said that it may be so.
    """
    if stations.is_empty(found, report) and not (options.allow_empty or found.mapping.allow_empty):
        what = "the source has no tables at all; is it the right file?"
        if found.tables:
            what = "the source has no rows at all; is it the right file?"
            if options.include or options.exclude:
                what = "the chosen tables have no rows at all; are they the right ones, of the right file?"
        raise MigrationError(
            what,
            where=str(options.source),
            next="if it is, pass --allow-empty, or a mapping that says `allow_empty: true`",
        )


def demand_nothing_lost(options: Options, target: Target, known: State | None, found: Plan) -> None:
    """Refuse to load over what the app wrote to the target, which nobody else has.

    Raises:
        MigrationError: it lives there, or did, or the source is another one.
    """
    if known is None:
        return
    if not found.tables:
        raise MigrationError(
            "the source has no tables, and the target was loaded with some",
            where=str(options.source),
            next="pass the file the app uses with --source",
        )
    if known.opened_at is not None and not options.replace:
        raise MigrationError(
            f"the app lives on this database since {known.opened_at};"
            " loading the source again would destroy what it wrote",
            where=str(target),
            details=_counts(found),
            next="nothing is to be migrated; if the app is back on SQLite for good, run again with"
            " --replace --keep-dump DIR, which keeps a dump of what is there",
        )
    is_back = known.returned_at and known.returned_into == str(options.source.resolve())
    if known.lived_since and not (options.given_up or options.replace or is_back):
        details = _counts(found)
        if known.returned_at:
            details.append(f"it was led back into {known.returned_into}, and this is another file")
        raise MigrationError(
            f"the app lived on this database since {known.lived_since}; what it wrote there would be lost",
            where=str(target),
            details=details,
            next=_LEAD_BACK,
        )
    if not (options.given_up or options.replace or known.lived_since):
        strange = [
            table.target
            for table in found.tables
            for part in [known.parts.get(table.table.name)]  # an older record has none
            if part is not None
            and table.exists
            and state.written_since(target, part, sql.qualified(target.schema, table.target))
        ]
        if strange:
            raise MigrationError(
                "somebody wrote to this database since it was loaded; that would be lost",
                where=str(target),
                details=[f"{table}: has rows that are newer" for table in strange],
                next="see which: migrate_db verify --rows FILE; if the app lives here: migrate_db open; or "
                + _LEAD_BACK,
            )


def may_catch_up(options: Options, target: Target, known: State | None, found: Plan) -> bool:
    """How rows that the target has already are treated: brought up to the source, or replaced.

    Raises:
        MigrationError: nobody has said that either may be done.
    """
    ours = known is not None and bool(known.source)
    absent = [table.target for table in found.tables if not table.exists]
    can = ours and not absent  # catching up fills tables, it doesn't make any
    if can and options.catch_up:
        return True
    if not options.replace:
        again = "--catch-up to bring it up to the source, or " if can else ""
        if ours and absent:
            new = [table.table.name for table in found.tables if not table.exists]
            named = " ".join(f"--include {shlex.quote(name)}" for name in new[:_NAMED])
            again = (
                f"{named}{' …' * (len(new) > _NAMED)} to load what is new, but for foreign keys to the"
                " rest, and then with --catch-up; or with "
            )
        raise MigrationError(
            "the target is not empty" + ("" if ours else ", and not made by us"),
            where=str(target),
            details=_counts(found) + [f"{name}: not there" for name in absent if ours],
            next=f"run again with {again}--replace --keep-dump DIR, which replaces these"
            " tables after keeping a dump",
        )
    return False


def _counts(found: Plan) -> list[str]:
    return [f"{t.target}: {t.target_rows:,} rows" for t in found.tables if t.target_rows]
