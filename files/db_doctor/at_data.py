"""Rules of what is in the database, and of the runs that filled it."""

from __future__ import annotations

from db_doctor import declared
from db_doctor.facts import Facts
from db_doctor.finding import Crosseds, Finding, Findings
from db_doctor.options import Options


def migration(facts: Facts, options: Options, crossed: Crosseds) -> Findings:
    left, app, data = facts.left, facts.app, facts.data
    held = left.get("held") or {}
    who = f"{held.get('operation')} of {held.get('id')}, process {held.get('process')} on {held.get('controller')}"
    if options.lock == "stale":
        yield Finding(
            "lock", "a run of a playbook was killed, and holds its lock still",
            (f"{options.migration}/lock.json: {who}",),
            fix="lock", because=("half_switched", "half_upgraded"),
        )  # fmt: skip
    elif options.lock == "held":
        facts.notes.append(f"another run is at work, or its controller is gone: {who}")
    elif left.get("lock.json") and options.lock == "unknown":
        facts.notes.append(f"a run holds the lock: {who}; playbooks/doctor.yml sees whether it is alive")  # fmt: skip
    if options.lock == "held":
        return
    for name, mark, what, play in (
        # first: until then the server that the others need may not even be there
        (
            "half_upgraded",
            options.secrets.parent / "upgrade.json",
            "an upgrade of PostgreSQL",
            "upgrade",
        ),
        ("half_switched", options.migration / "rollback.json", "a way back to SQLite", "rollback"),
        ("half_switched", options.migration / "env.before", "a switch to PostgreSQL", "migrate"),
    ):
        if left.get(mark.name):
            yield Finding(
                name, f"{what} was cut short", (f"{mark} is there",),
                command=f"ansible-playbook playbooks/{play}.yml, which goes on or turns back",
            )  # fmt: skip
            return
    if app.kind == "postgres" and data.migration.get("held"):
        yield Finding(
            "held", "the app may only read its database: a migration holds it",
            ("migrate_db.state says held, and the env file says postgres",),
            command="ansible-playbook playbooks/rollback.yml goes back to SQLite; to stay: migrate_db open",
            by_hand="migrate_db open --target 'postgresql://…'; docs/runbook.md, 1",
        )  # fmt: skip


def contents(facts: Facts, options: Options, crossed: Crosseds) -> Findings:
    app, data = facts.app, facts.data
    if not data.asked or not app.there:
        return
    if app.kind == "postgres" and not data.filled:
        yield Finding(
            "empty", "the app is on PostgreSQL, and its database has no row",
            (f"{len(data.tables)} tables in {options.database}, none with a row",),
            command="ansible-playbook playbooks/restore.yml -e backup_replace=true, if there is a backup;"
            " ansible-playbook playbooks/rollback.yml goes back to SQLite",
            by_hand="db_backup list; db_backup restore latest --replace",
        )  # fmt: skip
    if app.kind == "sqlite" and data.filled and not data.migration:
        yield Finding(
            "not_empty", "the app is on SQLite, and the database for it already has rows that no migration brought",
            (f"rows in {', '.join(data.filled[:5])}",),
            command="ansible-playbook playbooks/migrate.yml -e migration_replace=true keeps a backup and replaces them",
            by_hand="db_backup nightly; look at the tables first",
        )  # fmt: skip


def types(facts: Facts, options: Options, crossed: Crosseds) -> Findings:
    drifted = drift(facts)
    if not drifted:
        return
    evidence = tuple(
        f"{row['name']}.{row['quoted']} is {row['type']}, the models say {row['declared']}"
        for row in drifted
    )
    ours = all(mendable(row) for row in drifted)
    yield Finding(
        "types", "columns have another type than the app's models declare", evidence[:8],
        fix="types" if ours else "",
        command="" if ours else "ALTER TABLE … ALTER COLUMN … TYPE … USING …, or correct the models",
        by_hand="db_doctor mend types" if ours else "",
    )  # fmt: skip


def drift(facts: Facts) -> list[dict[str, str]]:
    """Columns of another family than declared, with the declared type."""
    return [
        {**row, "declared": wanted.lower()}
        for row in facts.data.columns
        if (
            wanted := facts.data.declared.get(f"{row['schema']}.{row['table']}", {}).get(
                row["column"]
            )
        )
        and declared.family(wanted)
        and declared.family(row["type"])
        and declared.family(wanted) != declared.family(row["type"])
    ]


def mendable(row: dict[str, str]) -> bool:
    """Between json and text nothing is lost: the server refuses what isn't JSON."""
    return {declared.family(row["type"]), declared.family(row["declared"])} == {"json", "text"}


def behind(facts: Facts) -> list[dict[str, object]]:
    """Sequences whose next number is taken already."""
    return [
        row for row in facts.data.sequences
        if row["highest"] is not None
        and (row["last_value"] + row["step"] if row["is_called"] else row["last_value"]) <= row["highest"]
    ]  # fmt: skip


def sequences(facts: Facts, options: Options, crossed: Crosseds) -> Findings:
    rows = behind(facts)
    # what may only read has no next row, and is filled up by the next migration
    if rows and not facts.data.migration.get("held"):
        yield Finding(
            "sequences", "the next row gets a number that is taken: duplicate key",
            tuple(f"{row['sequence']} is at {row['last_value']}, {row['table']}.{row['column']} has {row['highest']}"
                  for row in rows[:8]),
            fix="sequences", by_hand="db_doctor mend sequences",
        )  # fmt: skip
