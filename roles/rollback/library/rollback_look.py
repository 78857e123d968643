#!/usr/bin/python
# MIT License, see LICENSE in the project root
"""Where things stand in an emergency, and which ways back are open. Reads only, whatever is broken."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: rollback_look
short_description: State of app, server, kept files and backups, and the ways back to SQLite
description:
  - Asks everything with a time limit of its own and takes no answer for an answer. Nothing is changed.
options:
  app: {description: What role backend knows of the app., type: dict, required: true}
  directory: {description: Journal, lock and kept files of the migration., type: path, required: true}
  source: {description: The SQLite file of the app., type: path, required: true}
  target: {description: C(postgresql://) URL, password in a passfile., type: str, required: true}
  container: {description: The server's container; empty when it is on another machine., type: str, default: ''}
  volume: {description: The server's volume., type: str, default: ''}
  migrate_db: {description: The program., type: path, required: true}
  db_backup: {description: The program., type: path, required: true}
  upgrade_marker: {description: There while an upgrade of the server is not finished., type: path, required: true}
  images: {description: Where role backend remembers the app's images., type: path, required: true}
  patience: {description: Seconds that any one question may take., type: int, default: 8}
author: [The brainer-db authors]
"""

import hashlib
import json
import os
import subprocess
from datetime import datetime, timezone
from typing import Any
from urllib.parse import unquote, urlsplit

from ansible.module_utils.basic import AnsibleModule

PLAY = "ansible-playbook playbooks/rollback.yml"
#: Until then a volume that no container has may be the one with everything.
UPGRADING = (
    "an upgrade of PostgreSQL was begun and not finished:"
    " ansible-playbook playbooks/upgrade.yml first, it goes back or finishes"
)
#: A digest of more would take longer than a person at night waits.
DIGEST_MOST = 2 * 1024**3


def main() -> None:
    """Look; answer with facts and ways."""
    module = AnsibleModule(
        argument_spec={
            "app": {"type": "dict", "required": True},
            "directory": {"type": "path", "required": True},
            "source": {"type": "path", "required": True},
            "target": {"type": "str", "required": True},
            "container": {"type": "str", "default": ""},
            "volume": {"type": "str", "default": ""},
            "migrate_db": {"type": "path", "required": True},
            "db_backup": {"type": "path", "required": True},
            "upgrade_marker": {"type": "path", "required": True},
            "images": {"type": "path", "required": True},
            "patience": {"type": "int", "default": 8},
        },
        supports_check_mode=True,
    )
    words = module.params
    ask = Asker(words["patience"])
    found = facts(ask, words)
    module.exit_json(changed=False, look={**found, **decide(words["app"], found)})


class Asker:
    """Runs commands that may hang."""

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def __call__(self, *command: str) -> tuple[int, str]:
        """Exit code and what was said; -1 when there is no such command or no answer in time."""
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace",
                timeout=self.patience, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return -1, f"no answer within {self.patience} s"
        except OSError as error:
            return -1, f"{command[0]}: {error.strerror}"
        return done.returncode, done.stdout.strip() or done.stderr.strip()

    def json(self, *command: str) -> dict[str, Any]:
        """What one of our programs says with --json; ``error`` is a list of lines."""
        code, said = self(*command, "--json")
        try:
            answer = json.loads(said)
        except ValueError:
            answer = {"error": said.splitlines()[-3:]}
        return {"exit_code": code, **answer}


def facts(ask: Asker, words: dict[str, Any]) -> dict[str, Any]:
    """Everything that can be seen; what can't is empty."""
    directory = words["directory"]
    code, said = ask("docker", "version", "--format", "{{.Server.Version}}")
    engine = code == 0
    return {
        "engine": engine,
        "engine_reason": "" if engine else said.splitlines()[-1] if said else "it says nothing",
        "server": server(ask, words, engine),
        "kept": kept(directory, words["source"]),
        "images": read(words["images"]).get("list", []),
        "image": image_id(ask, words["app"].get("image", "")) if engine else "",
        "backup": newest(ask, words["db_backup"], database(words["target"])),
        "finalized": read(f"{directory}/finalized.json"),
        "under_way": under_way(directory, words["source"]),
        "upgrading": os.path.exists(words["upgrade_marker"]),
        "switching": os.path.exists(f"{directory}/env.before"),
        "lock": read(f"{directory}/lock.json"),
    }  # fmt: skip


def server(ask: Asker, words: dict[str, Any], engine: bool) -> dict[str, Any]:
    """The container, the volume, and what the database says of itself."""
    container = volume = "unknown"
    if engine and words["container"]:
        name = words["container"]
        code, said = ask("docker", "container", "inspect", "--format", "{{.State.Status}}", name)
        container = said if code == 0 else "absent"
        code, _ = ask("docker", "volume", "inspect", words["volume"])
        volume = "there" if code == 0 else "absent"
    found = {"container": container, "volume": volume, "verdict": "", "reason": "", "since": ""}
    if not os.path.exists(words["migrate_db"]):
        return {**found, "reason": "migrate_db is not installed here"}
    if container in ("absent", "exited", "created", "dead"):
        gone = ", and so is its volume" if volume == "absent" else ""
        return {**found, "reason": f"the container {words['container']} is {container}{gone}"}
    answer = ask.json(words["migrate_db"], "status", "--target", words["target"])
    if answer["exit_code"] != 0:
        said = (answer.get("error") or ["it does not answer"])[0]
        return {**found, "reason": said.removeprefix("error: ")}
    state = answer.get("state") or {}
    return {
        **found,
        "verdict": answer["verdict"],
        "since": state.get("opened_at") or state.get("lived_since") or "",
        "snapshot": state.get("snapshot_sha256", ""),
        "activity": answer.get("activity"),
    }


def image_id(ask: Asker, name: str) -> str:
    """Which image has the name that the app starts from; empty if none."""
    code, said = ask("docker", "image", "inspect", "--format", "{{.Id}}", name or "-")
    return said if code == 0 else ""


def kept(directory: str, source: str) -> dict[str, Any]:
    """The snapshot proved at the cut-over, the file the app left, and what was noted of both."""
    path = f"{directory}/kept/{os.path.basename(source)}"
    record = read(f"{directory}/kept/record.json")
    now, then = digest(path), record.get("kept_sha256", "")
    there, was = digest(source), record.get("sha256", "")
    return {
        "path": path,
        "there": os.path.exists(path),
        "at": record.get("at") or stamp(path),
        "altered": bool(now and then and now != then),
        "record": record,
        "env": os.path.exists(f"{directory}/kept/env") or os.path.exists(f"{directory}/env.before"),
        "file_there": os.path.exists(source),
        "file_altered": bool(there and was and there != was),
        "bytes": os.path.getsize(path) if os.path.exists(path) else 0,
        "free": free(os.path.dirname(source)),
    }


def under_way(directory: str, source: str) -> dict[str, Any]:
    """The rollback that was begun and not finished, and the digest of the file that it gave the app."""
    found = read(f"{directory}/rollback.json")
    if not found:
        return {}
    report = read(f"{directory}/runs/{found.get('id')}/reverse/report.json")
    sha256 = (report.get("reversal") or {}).get("sha256", "")
    if found.get("data") == "frozen":
        sha256 = digest(f"{directory}/kept/{os.path.basename(source)}")
    return {**found, "sha256": sha256}


def database(target: str) -> str:
    """The name of the database of an address."""
    return unquote(urlsplit(target).path.lstrip("/"))


def newest(ask: Asker, program: str, name: str) -> dict[str, Any]:
    """The newest proved set of this database; they get their names only when they are proved.

    One of what was about to be replaced, or given up, isn't what anybody wants back, nor one that was found damaged,
    or that has not a row where an earlier one has some.
    """
    if not os.path.exists(program):
        return {"set": "", "reason": "db_backup is not installed here"}
    answer = ask.json(program, "list")
    sets = [
        one
        for one in answer.get("sets") or []
        if "taken_at" in one
        and one.get("database") == name
        and one.get("kind", "regular") == "regular"
        and not one.get("damaged")
    ]
    sets = [one for one in sets if one.get("rows")] or sets
    if not sets:
        return {"set": "", "reason": " ".join(answer.get("error") or ["there is none"])}
    last = sets[-1]
    age = (now() - moment(last["taken_at"])).total_seconds()
    return {**last, "age": duration(age), "at": last["taken_at"]}


def decide(app: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Where the app is, which ways back are open, and what to do now."""
    side = app.get("configured_db_type", "")
    if app.get("active"):
        side = app["db_type"]
    at, kept_, backup = found["server"], found["kept"], found["backup"]
    answers = at["verdict"] != ""
    broken = common(app, found)
    already = "the app is on SQLite already" if side == "sqlite" and not found["under_way"] else ""
    every = broken or already
    can_start = at["container"] in ("exited", "created") and at["volume"] == "there"
    through_backup = found.get("finalized") and (
        f"finalised at {found['finalized'].get('at', '?')}: only through a backup;"
        " ansible-playbook playbooks/backup.yml takes one with all there is"
    )
    lossless = (
        every
        or through_backup
        or (
            ""
            if at["verdict"] == "live"
            or (at["verdict"] == "loaded" and found["under_way"])
            or can_start
            else f"the database says {at['verdict']}: the app does not live there"
            if answers
            else f"PostgreSQL does not answer: {at['reason']}"
        )
    )
    through = every or (
        f"no backup: {backup['reason']}"
        if not backup["set"]
        else "the newest backup is older than the cut-over"
        if kept_["at"] and moment(backup["at"]) < moment(kept_["at"])
        else ""
    )
    loss = "-e rollback_accept_loss=true"
    ways = [
        way("lossless", lossless, PLAY, "to SQLite, with all that was written to PostgreSQL"),
        way(
            "backup", through, f"{PLAY} -e rollback_data=backup {loss}",
            f"to SQLite, with what the newest backup has ({backup['age']} old)"
            if backup["set"]
            else "to SQLite, with what the newest backup has",
        ),
        way(
            "frozen", every or through_backup or "", f"{PLAY} -e rollback_data=frozen {loss}",
            f"to SQLite as it was at the cut-over ({kept_['at'] or 'never'})",
        ),
    ]  # fmt: skip
    half_way = found["switching"] and at["verdict"] in ("loaded", "unknown")
    if found["under_way"]:
        # a change of sides has published nothing: it is done again, in its own direction
        do = "side" if found["under_way"].get("side") else "finish" if side == "sqlite" else ""
    elif half_way or (side == "sqlite" and not app.get("healthy") and not broken):
        do = "call_off"
    else:
        do = "nothing" if side == "sqlite" and app.get("healthy") else ""
    earlier = [item for item in found["images"] if item["id"] != found["image"]]
    ways.append(
        way(
            "code",
            UPGRADING
            if found["upgrading"]
            else ""
            if earlier and found["engine"]
            else "no other image is remembered",
            f"{PLAY} -e rollback_image=previous",
            f"the app's image of before {found['images'][-1]['at']}; the data stays"
            if earlier
            else "",
        )
    )
    return {
        "do": do,
        "side": side,
        "healthy": bool(app.get("healthy")),
        "ways": ways,
        "next": following(side, app, found, ways),
    }


def common(app: dict[str, Any], found: dict[str, Any]) -> str:
    """What closes every way; empty if nothing does."""
    kept_ = found["kept"]
    if found["upgrading"]:
        return UPGRADING
    if not kept_["there"]:
        return f"nothing was migrated here: there is no {kept_['path']}"
    if not found["engine"]:
        return f"the Docker engine does not answer: {found['engine_reason']}"
    if not app.get("defined"):
        return f"the app can't be asked: {app.get('reason', '')}".splitlines()[0]
    if app.get("unwired"):
        return f"the app does not take {' and '.join(app['unwired'])} from {app['env_file']}"
    if not found["image"]:
        again = ", or -e rollback_image=previous" if found["images"] else ""
        return f"the app's image {app.get('image')} is not on this server: build or pull it{again}"
    if kept_["altered"]:
        return f"{kept_['path']} is not what was kept at the cut-over"
    need = 3 * kept_["bytes"]
    if kept_["free"] < need:
        return f"the disk of the SQLite file is too full: {need >> 20} MiB are needed, {kept_['free'] >> 20} are free"
    return ""


def following(
    side: str, app: dict[str, Any], found: dict[str, Any], ways: list[dict[str, Any]]
) -> list[str]:
    """What a person should do now, in order."""
    at = found["server"]
    is_open = {one["way"]: not one["closed"] for one in ways}
    if found["lock"]:
        held = found["lock"]
        running = f"{held.get('operation')} of {held.get('id')} is at work on {held.get('controller')}, or was killed"
    else:
        running = ""
    if found["under_way"]:
        return [f"a rollback was begun and not finished. Run again: {PLAY}"]
    if not found["engine"]:
        return ["systemctl start docker, then look again"]
    if found["upgrading"]:
        return [UPGRADING]
    if found["switching"] and at["verdict"] != "live":
        return [
            running or "a migration was cut short before the app could write to PostgreSQL",
            "go on: ansible-playbook playbooks/migrate.yml",
            f"back to SQLite, with nothing lost: {PLAY}",
        ]
    if side == "sqlite":
        back = "ansible-playbook playbooks/migrate.yml moves it to PostgreSQL"
        if app.get("healthy"):
            return [f"nothing: the app runs on SQLite. {back}"]
        return [f"{PLAY} starts it; or look at its logs: docker compose logs"]
    # healthy or not: the app's next connection is refused, too
    if "password" in at["reason"]:
        return ["ansible-playbook playbooks/site.yml sets the password on both sides again"]
    if at["verdict"] == "unknown" and found["kept"]["there"]:
        return [
            "PostgreSQL knows nothing of the move that was made: was its volume lost, and the server made anew?",
            "sudo db_backup list, then"
            " ansible-playbook playbooks/restore.yml -e restore_from=NAME -e backup_replace=true",
        ]
    if app.get("healthy"):
        if found.get("finalized"):
            way_back = f"ansible-playbook playbooks/backup.yml, then {ways[1]['command']}"
            return [f"nothing need be done. To go back to SQLite all the same: {way_back}"]
        return [f"nothing need be done. To go back to SQLite all the same: {PLAY}"]
    if at["container"] in ("exited", "created"):
        return [
            "docker start the server's container: the app finds it again by itself",
            f"if it does not stay up: {PLAY} -e rollback_data=backup",
        ]
    for one in ways:
        if is_open[one["way"]]:
            return [f"docker compose logs of the app; if it can't be mended: {one['command']}"]
    return ["mend what closes the ways above, then look again"]


def way(name: str, closed: str, command: str, what: str) -> dict[str, Any]:
    """One way back; ``closed`` says why it isn't open."""
    return {"way": name, "what": what, "closed": closed, "command": command}


def read(path: str) -> dict[str, Any]:
    """A JSON object; empty when there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            answer = json.load(file)
    except (OSError, ValueError):
        return {"unreadable": True} if os.path.exists(path) else {}
    return answer if isinstance(answer, dict) else {"list": answer}


def digest(path: str) -> str:
    """SHA-256 of a file; empty when there is none, or it is too large to read now."""
    try:
        if os.path.getsize(path) > DIGEST_MOST:
            return ""
        with open(path, "rb") as file:
            found = hashlib.sha256()
            while block := file.read(1 << 20):
                found.update(block)
    except OSError:
        return ""
    return found.hexdigest()


def free(directory: str) -> int:
    """Bytes that may be written there."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


def now() -> datetime:
    """In UTC."""
    return datetime.now(timezone.utc)


def moment(text: str) -> datetime:
    """A time of ours, ``2026-11-23T02:00:00Z``."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def stamp(path: str) -> str:
    """When a file was written; empty when there is none."""
    try:
        at = datetime.fromtimestamp(os.path.getmtime(path), timezone.utc)
    except OSError:
        return ""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(seconds: float) -> str:
    """For a person."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172800 else f"{seconds / 86400:.0f} days"


if __name__ == "__main__":
    main()
