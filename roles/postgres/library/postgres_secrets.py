#!/usr/bin/python
"""The passwords' one home: made once on this host, or taken from Vault, and never printed."""

from __future__ import annotations

import os
import re
import secrets
import stat

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: postgres_secrets
short_description: Keeps the server's passwords in files that only root can read
options:
  directory: {type: path, required: true, description: "Made with mode 0700; the files in it have 0600."}
  user: {type: str, required: true, description: The app's role.}
  password: {type: str, default: "", description: "The app's password. Empty: kept, or generated."}
  superuser_password: {type: str, default: "", description: "The superuser's password. Empty: kept, or generated."}
  external: {type: bool, default: false, description: "Somebody else's server: only the app's password, none is made."}
"""

RETURN = r"""
passwords:
  type: dict
  returned: always
  description: "password and superuser_password as kept on the host; empty in check mode when there are none yet."
"""

CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def kept(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().rstrip("\n")
    except FileNotFoundError:
        return ""


def private(path: str, mode: int) -> bool:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return False
    return stat.S_IMODE(found.st_mode) == mode and found.st_uid == 0 and found.st_gid == 0


def write(path: str, text: str) -> None:
    """Aside, down to the disk, then renamed: a power cut leaves the old secret or the new one."""
    aside = f"{path}.{secrets.token_hex(4)}"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def pgpass(user: str, password: str) -> str:
    escaped = [part.replace("\\", "\\\\").replace(":", "\\:") for part in (user, password)]
    return f"*:*:*:{escaped[0]}:{escaped[1]}\n"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "password": {"type": "str", "default": "", "no_log": True},
            "superuser_password": {"type": "str", "default": "", "no_log": True},
            "external": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    directory = wanted["directory"]

    passwords = {}
    ours = () if wanted["external"] else ("superuser_password", "bootstrap_password")
    for name in ("password", *ours):
        passwords[name] = wanted.get(name) or kept(os.path.join(directory, name))
        if CONTROL.search(passwords[name]):
            module.fail_json(
                msg=f"{name} has a control character (a line break?), which no password file can carry."
            )
        if not passwords[name] and not module.check_mode and not wanted["external"]:
            passwords[name] = secrets.token_urlsafe(24)

    texts = {name: f"{password}\n" for name, password in passwords.items()}
    texts["pgpass"] = pgpass(wanted["user"], passwords["password"])
    if ours:
        texts["superuser_pgpass"] = pgpass("postgres", passwords["superuser_password"])

    paths = {os.path.join(directory, name): text for name, text in texts.items()}
    stale = {
        path: text
        for path, text in paths.items()
        if not private(path, 0o600) or f"{kept(path)}\n" != text
    }
    open_directory = not private(directory, 0o700)
    if not module.check_mode:
        if open_directory:
            os.makedirs(directory, exist_ok=True)
            os.chmod(directory, 0o700)
            os.chown(directory, 0, 0)
        for path, text in stale.items():
            write(path, text)

    passwords.pop("bootstrap_password", None)
    module.exit_json(changed=bool(stale) or open_directory, passwords=passwords)


if __name__ == "__main__":
    main()
