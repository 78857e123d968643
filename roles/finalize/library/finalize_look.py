#!/usr/bin/python
# MIT License, see LICENSE in the project root
"""May the transition end? Everything that speaks against it, at once, each with its next command. Reads only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: finalize_look
short_description: Whether the SQLite file may be put away for good
options:
  app: {description: What role backend knows of the app., type: dict, required: true}
  verdict: {description: What the database says of itself, C(live) when the app lives there., type: str, required: true}
  since: {description: Since when it lives there., type: str, default: ''}
  verified: {description: Report of C(migrate_db verify) against the kept file., type: dict, default: {}}
  directory: {description: Journal and kept files of the migration., type: path, required: true}
  source: {description: The SQLite file of the app., type: path, required: true}
  target: {description: C(postgresql://) URL, password in a passfile., type: str, required: true}
  migrate_db: {description: The program., type: path, required: true}
  db_backup: {description: The program., type: path, required: true}
  db_status: {description: The program., type: path, required: true}
  after_days: {description: Days that the app must have lived there., type: int, required: true}
  backup_hours: {description: Most hours that the newest backup may be old., type: int, required: true}
author: [The brainer-db authors]
"""

import hashlib
import json
import os
import subprocess
import time
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import unquote, urlsplit

from ansible.module_utils.basic import AnsibleModule

#: Seconds after which the server has surely counted what was written before.
_COUNTED = 12
_BACKUP = "ansible-playbook playbooks/backup.yml"


def main() -> None:
    """Look; answer with facts and reasons."""
    module = AnsibleModule(
        argument_spec={
            "app": {"type": "dict", "required": True},
            "verdict": {"type": "str", "required": True},
            "since": {"type": "str", "default": ""},
            "verified": {"type": "dict", "default": {}},
            "directory": {"type": "path", "required": True},
            "source": {"type": "path", "required": True},
            "target": {"type": "str", "required": True},
            "migrate_db": {"type": "path", "required": True},
            "db_backup": {"type": "path", "required": True},
            "db_status": {"type": "path", "required": True},
            "after_days": {"type": "int", "required": True},
            "backup_hours": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    words = module.params
    found = facts(words)
    if unexplained(found["differences"], found["written"]):
        # what was written just now may not be counted yet
        time.sleep(_COUNTED)
        found["written"] = written(words)
    module.exit_json(changed=False, look={**found, "reasons": reasons(words, found, now())})


def facts(words: dict[str, Any]) -> dict[str, Any]:
    """Everything that is decided on; what can't be seen is empty."""
    directory, source = words["directory"], words["source"]
    record = read(f"{directory}/kept/record.json")
    kept = f"{directory}/kept/{os.path.basename(source)}"
    return {
        "finalized": read(f"{directory}/finalized.json"),
        "record": record,
        "file": {"path": source, "sha256": digest(source), "beside": beside(source)},
        "kept": {"path": kept, "sha256": digest(kept)},
        "newest": newest(words["db_backup"], database(words["target"])),
        "limits": limits(words["db_backup"]),
        "differences": differences(words["verified"]),
        "unsound": unsound(words["verified"]),
        "written": written(words),
        "watched": watched(words),
    }


def reasons(words: dict[str, Any], found: dict[str, Any], at: datetime) -> list[dict[str, str]]:
    """What speaks against it; empty when nothing does."""
    app = words["app"]
    if words["verdict"] != "live" or app.get("db_type") != "postgres":
        return [
            reason("the app does not live on PostgreSQL", "ansible-playbook playbooks/migrate.yml")
        ]
    since = moment(words["since"])
    against = []
    if not app.get("healthy"):
        against.append(
            reason(
                f"the app is not healthy: {app.get('health', '')}",
                "ansible-playbook playbooks/rollback.yml --tags assess",
            )
        )
    against += _days(words, found["watched"], at)
    return [
        *against,
        *_backups(words, found, since, at),
        *_files(found),
        *_proof(words, found),
    ]


def _days(words: dict[str, Any], seen: dict[str, Any], at: datetime) -> list[dict[str, str]]:
    """So long on PostgreSQL, and so long without a trouble that a sample found."""
    days, since, last = words["after_days"], words["since"], seen["last"]
    ready = moment(max(since, last.get("ended", ""))) + timedelta(days=days)
    if at >= ready:
        return []
    wait = f"wait until {ready:%Y-%m-%dT%H:%MZ}; sooner: -e finalize_after_days=DAYS"
    if last and ready > moment(since) + timedelta(days=days):
        what = f"{last['what']} at {last['ended']}; {days} days without a trouble are wanted"
        return [
            reason(what, f"see them all: sudo db_status history {' '.join(also(words))}; {wait}")
        ]
    return [reason(f"the app lives on PostgreSQL since {since}; {days} days are wanted", wait)]


def _backups(
    words: dict[str, Any], found: dict[str, Any], since: datetime, at: datetime
) -> list[dict[str, str]]:
    """A proved set, young enough and whole to this day, and a drill; both of after the cut-over."""
    against, newest_ = [], found["newest"]
    if not newest_.get("at"):
        against.append(
            reason(f"there is no backup: {newest_.get('error', '')}".rstrip(": "), _BACKUP)
        )
    elif at - moment(newest_["at"]) > timedelta(hours=words["backup_hours"]):
        hours = (at - moment(newest_["at"])).total_seconds() / 3600
        against.append(
            reason(
                f"the newest backup is {hours:.0f} h old, {words['backup_hours']} at most", _BACKUP
            )
        )
    elif moment(newest_["at"]) < since:
        against.append(reason("the newest backup is older than the cut-over", _BACKUP))
    elif newest_.get("damaged"):
        against.append(reason(f"the newest backup is damaged: {newest_['damaged']}", _BACKUP))
    drill = found["limits"].get("drill")
    drilled = at - timedelta(days=drill["value"]) if drill and drill["value"] >= 0 else None
    if drilled is None or not drill["ok"] or drilled < since:
        text = drill["text"] if drill else "none is expected (backup_max_drill_age_days)"
        against.append(
            reason(f"no backup was restored and compared lately: {text}", "sudo db_backup drill")
        )
    return against


def _files(found: dict[str, Any]) -> list[dict[str, str]]:
    """Both files are what the migration left: nobody wrote to SQLite since."""
    against, record = [], found["record"]
    file, kept = found["file"], found["kept"]
    if not kept["sha256"] or (record and kept["sha256"] != record.get("kept_sha256")):
        against.append(
            reason(
                f"{kept['path']} is {'not what was kept at the cut-over' if kept['sha256'] else 'gone'}; a way back"
                " through a backup needs it",
                f"put it there again from a copy of yours; its SHA-256 is {record.get('kept_sha256', 'not known')}",
            )
        )
    if file["beside"] or (file["sha256"] and file["sha256"] != record.get("sha256")):
        what = (
            f"there is {file['beside']}" if file["beside"] else "it was changed since the cut-over"
        )
        against.append(
            reason(
                f"somebody wrote to {file['path']}: {what}",
                f"look what: sudo migrate_db verify --source {file['path']} --target ...; then keep it elsewhere:"
                f" sudo mv {file['path']}* /root/",
            )
        )
    return against


def _proof(words: dict[str, Any], found: dict[str, Any]) -> list[dict[str, str]]:
    """Equal to the file of the cut-over, but for what the app has written since, which the server has counted."""
    report = words["verified"]
    if not (report.get("proof") or {}).get("tables"):
        said = " ".join(report.get("error") or ["it was not compared"])
        return [reason(f"the comparison failed: {said}", "ansible-playbook playbooks/verify.yml")]
    against = [
        reason(f"not sound: {line}", "ansible-playbook playbooks/verify.yml")
        for line in found["unsound"][:5]
    ]
    if text := unexplained(found["differences"], found["written"]):
        against.append(
            reason(
                text,
                "sudo migrate_db verify --rows FILE lists the rows; if you know them:"
                " -e finalize_accept_unexplained=true",
            )
        )
    return against


def unexplained(found: dict[str, int], counted: dict[str, int] | None) -> str:
    """What differs from the cut-over and was not written by anybody, as far as the server counted."""
    if not any(found.values()):
        return ""
    told = (
        f"{found['extra']} rows were added, {found['different']} changed,"
        f" {found['missing']} removed since the cut-over"
    )
    if counted is None:
        return f"{told}, and the server has lost its count of what was written"
    inserted, updated, deleted = counted["inserted"], counted["updated"], counted["deleted"]
    # one that was removed and put in again under its number is a changed one
    enough = (
        found["extra"] <= inserted
        and found["missing"] <= deleted
        and found["different"] <= updated + min(inserted, deleted)
    )
    if enough:
        return ""
    return f"{told}, but the server counted {inserted}, {updated} and {deleted}"


def differences(report: dict[str, Any]) -> dict[str, int]:
    """Rows of all tables: only in PostgreSQL, in both with other values, only in SQLite."""
    tables = (report.get("proof") or {}).get("tables") or []
    return {
        kind: sum(table[kind] for table in tables) for kind in ("extra", "different", "missing")
    }


def unsound(report: dict[str, Any]) -> list[str]:
    """What of the structure is gone since the load, and sequences that are behind."""
    proof = report.get("proof") or {}
    behind = [
        f"sequence of {one['table']}.{one['column']}: {one['next']} is in use"
        for one in proof.get("sequences") or []
        if not one.get("sound", one["next"] > (one["highest"] or 0))
    ]
    return [*(proof.get("unsound") or []), *behind]


def written(words: dict[str, Any]) -> dict[str, int] | None:
    """What the server has counted since the cut-over; None if it can't say."""
    answer = ask(words["migrate_db"], "status", "--target", words["target"])
    activity = answer.get("activity")
    return activity if isinstance(activity, dict) else None


def watched(words: dict[str, Any]) -> dict[str, Any]:
    """How often somebody looked since the cut-over, and the last trouble that was found; nobody need have looked."""
    if not words["since"]:
        return {"samples": 0, "last": {}}
    answer = ask(words["db_status"], "history", "--since", words["since"], *also(words))
    troubles = answer.get("incidents") or [{}]
    return {
        "samples": answer.get("samples", 0),
        "first": answer.get("first", ""),
        "last": max(troubles, key=lambda one: one.get("ended", "")),
    }


def also(words: dict[str, Any]) -> list[str]:
    """The app's containers, which have to run as the server's has to."""
    names = (one["name"] for one in words["app"].get("containers") or [])
    return [word for name in names for word in ("--also", name)]


def database(target: str) -> str:
    """The name of the database of an address."""
    return unquote(urlsplit(target).path.lstrip("/"))


def newest(program: str, name: str) -> dict[str, Any]:
    """The newest set of this database, read to its last byte.

    One of what was about to be replaced isn't one, nor one without a row where an earlier one has some.
    """
    answer = ask(program, "list")
    sets = [
        one
        for one in answer.get("sets") or []
        if "taken_at" in one
        and one.get("database") == name
        and one.get("kind", "regular") == "regular"
    ]
    sets = [one for one in sets if one.get("rows")] or sets
    if not sets:
        return {"error": " ".join(answer.get("error") or [])}
    checked = ask(program, "verify", sets[-1]["set"])
    broken = checked.get("exit_code", 1) != 0
    return {
        "set": sets[-1]["set"],
        "at": sets[-1]["taken_at"],
        "damaged": " ".join(checked.get("error") or ["it can't be read"]) if broken else "",
    }


def limits(program: str) -> dict[str, dict[str, Any]]:
    """What `db_backup status` watches, by name."""
    return {one["name"]: one for one in ask(program, "status").get("limits") or []}


def ask(*command: str) -> dict[str, Any]:
    """What one of our programs says with --json."""
    try:
        done = subprocess.run(
            [*command, "--json"], capture_output=True, text=True, timeout=3600, check=False
        )
        answer = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return {"error": [str(error)], "exit_code": 1}
    return {"exit_code": done.returncode, **answer} if isinstance(answer, dict) else {}


def beside(path: str) -> str:
    """What SQLite keeps beside a file and would read with it; an empty one says nothing."""
    names = (f"{path}{end}" for end in ("-wal", "-journal"))
    return next((name for name in names if os.path.exists(name) and os.path.getsize(name)), "")


def read(path: str) -> dict[str, Any]:
    """A JSON object; empty when there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            answer = json.load(file)
    except (OSError, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}


def digest(path: str) -> str:
    """SHA-256 of a file; empty when there is none."""
    found = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    except OSError:
        return ""
    return found.hexdigest()


def reason(what: str, following: str) -> dict[str, str]:
    """One thing that speaks against it."""
    return {"what": what, "next": following}


def moment(text: str) -> datetime:
    """A time of ours, ``2026-11-23T02:00:00Z``."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def now() -> datetime:
    """In UTC."""
    return datetime.now(timezone.utc)


if __name__ == "__main__":
    main()
