#!/usr/bin/python
# MIT License, see LICENSE in the project root
"""Set KEY=value pairs in an env file in one rename; leave every other byte alone."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: backend_env
short_description: Set variables in a compose env file atomically
description:
  - Reads the file the way C(docker compose) does (comments, C(export), quotes, values over several lines,
    the last of several assignments wins) and replaces the effective value of each key given.
  - Every other byte stays, CRLF, comments and a missing newline at the end included. Mode, owner and
    SELinux context stay too. The file is replaced by one rename, so a reader sees the old or the new one.
  - Values are only written in a form that compose, a POSIX shell and python-dotenv read alike. A value
    that has no such form (C('), C(\\), C(${), control characters) is refused; percent-encode it in a URL.
options:
  path:
    description: The env file. A symbolic link is followed, its target is replaced.
    type: path
    required: true
  values:
    description: Keys and values that may be shown.
    type: dict
    default: {}
  secrets:
    description: Keys and values that are never shown, neither in the diff nor in a log.
    type: dict
    default: {}
  backup_path:
    description:
      - Where to keep a byte-exact copy (0600) of the file as it was before the change.
      - Written only when something changes, so a second run keeps the first run's copy.
    type: path
  restore:
    description: Put this copy back, byte for byte, instead of setting keys.
    type: path
  undo:
    description:
      - Give C(keys) what they have in this copy, in the same words, instead of setting values. A key that it lacks
        goes, with its line. Every other byte stays as it is now.
    type: path
  keys:
    description: The keys that C(undo) is about.
    type: list
    elements: str
    default: []
  create:
    description: Make the file (0600) when it does not exist.
    type: bool
    default: false
author: [The brainer-db authors]
"""

EXAMPLES = r"""
- name: The app's next start is on PostgreSQL
  backend_env:
    path: /opt/brainer/.env
    values: {DB_TYPE: postgres}
    secrets: {DATABASE_URL: "{{ postgres_app_url }}"}
    backup_path: /opt/brainer-db/migration/env.before
"""

RETURN = r"""
keys:
  description: Keys whose value was changed.
  returned: success
  type: list
  elements: str
backup_file:
  description: The copy of the former file, when one was written.
  returned: when written
  type: str
"""

import os
import re
import unicodedata
from dataclasses import dataclass

from ansible.module_utils.basic import AnsibleModule

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Needs no quotes for compose, for a shell that sources the file, and for `docker run --env-file`.
PLAIN = re.compile(r"[A-Za-z0-9_.,:/@%+=-]+")
# Go's isSpace in compose's parser: white space that does not end a line
BLANK = "\t\v\f\r \x85\xa0"


class EnvError(Exception):
    """The file or a value cannot be handled; the text says why and never holds a value."""


@dataclass(frozen=True)
class Assignment:
    """One `KEY=value` of the file: where its value stands and what compose reads there."""

    key: str
    start: int
    end: int
    quote: str
    value: str | None  # None: depends on expansion, so it is never taken for equal


def parse(text: str) -> list[Assignment]:
    """All assignments in file order, read with the rules of compose's dotenv parser."""
    found = []
    at = 1 if text.startswith("\ufeff") else 0
    while True:
        while at < len(text) and (text[at] in BLANK or text[at] == "\n"):
            at += 1
        if at == len(text):
            return found
        if text[at] == "#":
            at = _line_end(text, at)
            continue
        key, at, bare = _key(text, at)
        if not bare:
            assignment, at = _value(text, key, at)
            found.append(assignment)


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _key(text: str, at: int) -> tuple[str, int, bool]:
    """The key, where its value may begin, and whether it has none (`KEY` alone: taken from the environment)."""
    export = re.compile(rf"export[{BLANK}]+").match(text, at)
    begin = export.end() if export else at
    for here in range(begin, len(text)):
        char = text[here]
        if char in "=:":
            return text[begin:here].strip(BLANK), here + 1, False
        if char == "\n":
            return "", here, True
        if not (char in BLANK or char in "_.-[]" or char.isalnum()):
            line = text.count("\n", 0, here) + 1
            raise EnvError(
                f"line {line}: not KEY=value, a comment or a blank line; compose cannot read it either"
            )
    return "", len(text), True


def _value(text: str, key: str, at: int) -> tuple[Assignment, int]:
    start = at
    while start < len(text) and text[start] in BLANK and not text.startswith("\r\n", start):
        start += 1
    quote = text[start : start + 1]
    if quote not in ("'", '"'):
        return _unquoted(text, key, at, start)
    end = start + 1
    while text[end : end + 1] != quote:
        end += 2 if text[end : end + 1] == "\\" else 1
        if end >= len(text):
            line = text.count("\n", 0, start) + 1
            raise EnvError(f"line {line}: the quote is never closed; compose cannot read it either")
    raw = text[start + 1 : end]
    literal = "\\" not in raw and (quote == "'" or "$" not in raw)
    return Assignment(key, start, end + 1, quote, raw if literal else None), end + 1


def _unquoted(text: str, key: str, at: int, start: int) -> tuple[Assignment, int]:
    stop = _line_end(text, start)
    raw = text[start:stop]
    value = raw.split(" #", 1)[0].rstrip()
    if start > at and raw.startswith("#"):
        # `KEY= # a comment`: compose takes the comment for the value, its author did not. Write before it.
        return Assignment(key, at, at, "", value), stop
    return Assignment(key, start, start + len(value), "", None if "$" in value else value), stop


def written(value: str, quote: str = "", rest: str = "") -> str:
    """The text for a value, in the quotes that stood there before, where they do."""
    if not value or PLAIN.fullmatch(value):
        if quote:
            return quote + value + quote
        # Unquoted text reaches to the end of the line, so nothing but a comment may follow it.
        if value and re.match(r"[ \t\r]*(\n|\Z)| +#", rest):
            return value
        if not value and re.match(r"[ \t\r]*(\n|\Z)", rest):
            return value
        return f"'{value}'"
    odd = [
        char
        for char in value
        if char in "'\\" or unicodedata.category(char)[0] == "C" or char in "\u2028\u2029"
    ]
    if odd or "${" in value:
        what = ", ".join(sorted({f"U+{ord(char):04X}" for char in odd})) or "${"
        raise EnvError(
            f"the value holds {what}, which compose, a shell and python-dotenv do not read alike; "
            "in a URL, percent-encode it"
        )
    return f"'{value}'"


def set_values(data: bytes, values: dict[str, str]) -> tuple[bytes, list[str]]:
    """The file with these values, and the keys that had another one."""
    # surrogateescape: bytes that are not UTF-8 come out as they went in
    text = data.decode("utf-8", "surrogateescape")
    changed = []
    for key, value in values.items():
        if not NAME.fullmatch(key):
            raise EnvError(f"{key!r} is not a name for a variable")
        standing = [assignment for assignment in parse(text) if assignment.key == key]
        if standing and standing[-1].value == value:
            continue
        try:
            if standing:
                last = standing[-1]
                text = (
                    text[: last.start]
                    + written(value, last.quote, text[last.end :])
                    + text[last.end :]
                )
            else:
                text = _appended(text, f"{key}={written(value)}")
        except EnvError as error:
            raise EnvError(f"{key}: {error}") from None
        changed.append(key)
    result = {assignment.key: assignment.value for assignment in parse(text)}
    wrong = [key for key, value in values.items() if result.get(key) != value]
    if wrong:
        raise EnvError(
            f"{', '.join(wrong)}: would not be read back as given; the file is left alone"
        )
    return text.encode("utf-8", "surrogateescape"), changed


def undone(data: bytes, copy: bytes, keys: list[str]) -> tuple[bytes, list[str]]:
    """The file with what these keys were in the copy, and the keys that were something else."""
    text = data.decode("utf-8", "surrogateescape")
    before = copy.decode("utf-8", "surrogateescape")
    changed = []
    for key in keys:
        was, now = _last(before, key), _last(text, key)
        as_it_was = before[was.start : was.end] if was else ""
        if (was is None) == (now is None) and (
            now is None or text[now.start : now.end] == as_it_was
        ):
            continue
        changed.append(key)
        if was is not None and now is not None:
            text = text[: now.start] + as_it_was + text[now.end :]
        elif was is not None:
            text = _appended(text, f"{key}={as_it_was}")
        while was is None and now is not None:
            begin = text.rfind("\n", 0, now.start) + 1
            text = text[:begin] + text[_line_end(text, now.end) + 1 :]
            now = _last(text, key)
    if changed and text.rstrip("\r\n") == before.rstrip("\r\n"):
        return copy, changed  # also the missing newline at its end
    wrong = [
        key
        for key in keys
        if getattr(_last(text, key), "value", "") != getattr(_last(before, key), "value", "")
    ]
    if wrong:
        raise EnvError(
            f"{', '.join(wrong)}: would not be read back as it was; the file is left alone"
        )
    return text.encode("utf-8", "surrogateescape"), changed


def _last(text: str, key: str) -> Assignment | None:
    """The assignment that counts."""
    return next((item for item in reversed(parse(text)) if item.key == key), None)


def _appended(text: str, line: str) -> str:
    newline = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
    if text.strip("\ufeff") and not text.endswith("\n"):
        text += newline
    return text + line + newline


def replace_file(module: AnsibleModule, path: str, data: bytes, private: bool = False) -> None:
    """Write beside the file, flush, rename. The name is fixed, so a killed run leaves one file at most."""
    beside = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.backend_env")
    if os.path.lexists(beside):
        os.unlink(beside)
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if private or not os.path.exists(path):
            # not atomic_move: that gives a new file the umask's mode, and others could read the secret
            os.replace(beside, path)
            module.set_default_selinux_context(path, False)
        else:
            module.atomic_move(
                beside, path
            )  # keeps mode, owner and SELinux context of what stood there
    finally:
        if os.path.lexists(beside):
            os.unlink(beside)
    directory = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(directory)  # the rename itself survives a power cut
    finally:
        os.close(directory)


def shown(data: bytes, public: list[str], secret: list[str]) -> str:
    """The file for a diff: our keys only, secrets by their presence. Other lines may be secrets too."""
    try:
        values = {item.key: item.value for item in parse(data.decode("utf-8", "surrogateescape"))}
    except EnvError:
        return ""  # a broken file that `restore` replaces
    lines = [
        f"{key}={'(expanded)' if values[key] is None else values[key]}"
        for key in public
        if key in values
    ]
    return "".join(
        f"{line}\n" for line in lines + [f"{key}=********" for key in secret if key in values]
    )


def read(path: str) -> bytes | None:
    """The bytes of the file, None when there is none."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "values": {"type": "dict", "default": {}, "no_log": False},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "backup_path": {"type": "path"},
            "restore": {"type": "path"},
            "undo": {"type": "path"},
            "keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "create": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = module.params
    path = os.path.realpath(params["path"])
    before = read(path)
    if before is None and not params["create"] and not params["restore"]:
        module.fail_json(
            msg=f"There is no env file {path}. Nothing was changed. Next: create it, or set its path."
        )

    if params["restore"]:
        after = read(params["restore"])
        if after is None:
            module.fail_json(
                msg=f"There is no copy {params['restore']} to restore {path} from. Nothing was changed."
            )
        keys: list[str] = []
    elif params["undo"]:
        copy = read(params["undo"])
        if copy is None:
            module.fail_json(
                msg=f"There is no copy {params['undo']} to undo a switch of {path} with. Nothing was changed."
            )
        try:
            after, keys = undone(before or b"", copy, params["keys"])
        except EnvError as error:
            module.fail_json(msg=f"Cannot undo the switch in {path}: {error}. Nothing was changed.")
    else:
        values = {
            key: str(value) for key, value in {**params["values"], **params["secrets"]}.items()
        }
        try:
            after, keys = set_values(before or b"", values)
        except EnvError as error:
            module.fail_json(msg=f"Cannot set the values in {path}: {error}. Nothing was changed.")

    public, secret = list(params["values"]), list(params["secrets"])
    result: dict[str, object] = {"changed": after != before, "keys": keys, "path": path}
    if after != before:
        left, right = shown(before or b"", public, secret), shown(after, public, secret)
        if left == right:
            right += "(a secret or another line is changed)\n"
        result["diff"] = {
            "before_header": path,
            "after_header": path,
            "before": left,
            "after": right,
        }
        if not module.check_mode:
            if params["backup_path"] and before is not None:
                backup = params["backup_path"]
                replace_file(module, backup, before, private=True)
                result["backup_file"] = backup
            replace_file(module, path, after)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
