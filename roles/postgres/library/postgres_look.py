#!/usr/bin/python
"""Ask a server elsewhere what it is and what the given role may do there; change nothing."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import struct
import tempfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: postgres_look
short_description: Says whether a PostgreSQL server elsewhere can be reached, and what may be done there
description:
  - Asks with the psql of an image, in a container that is thrown away, so nothing need be installed on the host.
  - The password goes by a file that only this run sees. Nothing is changed; the image is pulled if it isn't there.
options:
  url: {type: str, required: true, description: "Without a password; its files are /look/pgpass and /look/ca.pem."}
  user: {type: str, required: true, description: The role.}
  password: {type: str, required: true, description: Its password.}
  ca: {type: str, default: "", description: The certificates that are trusted.}
  image: {type: str, required: true, description: Image with psql.}
  hosts: {type: list, elements: str, default: [], description: "HOST:PORT each, to see what a certificate lacks."}
  beside: {type: str, default: "", description: "A container whose network and files are used; empty: the host's."}
  file: {type: dict, default: {}, description: "Empty, or host and container: a file that it should see, too."}
  schema: {type: str, default: public, description: Where the tables are to be.}
"""

RETURN = r"""
answers: {type: bool, returned: always, description: Whether the server let the role in.}
tools: {type: str, returned: always, description: "Version of the image's psql, as 17.5; 0 if it could not be asked."}
error: {type: dict, returned: always, description: "Empty, or what (in plain words), said (psql's words) and next"}
server:
  type: dict
  returned: when it answers
  description: >-
    version, major, encoding, standby, superuser, createdb, monitor, owns (the database), create_schema, create_table,
    tls, tables, ours, standbys, synchronous, ms (there and back)
"""

PLACE = "/look"
#: Seconds for one host; libpq tries them one by one.
PATIENCE = 8

#: What asks a PostgreSQL server for TLS.
SSL_REQUEST = 80877103

QUERY = r"""
\set QUIET on
SET statement_timeout = '20s';
SELECT extract(epoch FROM clock_timestamp()) AS t0 \gset
SELECT extract(epoch FROM clock_timestamp()) AS t1 \gset
SELECT extract(epoch FROM clock_timestamp()) AS t2 \gset
SELECT extract(epoch FROM clock_timestamp()) AS t3 \gset
SELECT json_build_object(
  'version', split_part(current_setting('server_version'), ' ', 1),
  'major', current_setting('server_version_num')::int / 10000,
  'encoding', pg_encoding_to_char(d.encoding), 'standby', pg_is_in_recovery(),
  'superuser', r.rolsuper, 'createdb', r.rolsuper OR r.rolcreatedb,
  'monitor', pg_has_role(current_user, 'pg_monitor', 'USAGE'),
  'owns', pg_has_role(current_user, d.datdba, 'USAGE'),
  'create_schema', has_database_privilege(d.oid, 'CREATE'),
  'create_table', coalesce((SELECT has_schema_privilege(n.oid, 'CREATE') FROM pg_namespace n
                            WHERE n.nspname = :'schema'), has_database_privilege(d.oid, 'CREATE')),
  'tls', coalesce((SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl), ''),
  'tables', (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = :'schema' AND c.relkind IN ('r', 'p')),
  'ours', to_regclass('migrate_db.state') IS NOT NULL,
  'standbys', (SELECT count(*) FROM pg_stat_replication),
  'synchronous', current_setting('synchronous_standby_names'),
  'ms', round(1000 * least(:t1 - :t0, :t2 - :t1, :t3 - :t2), 1))
FROM pg_database d, pg_roles r WHERE d.datname = current_database() AND r.rolname = current_user;
"""

#: A sign in libpq's words, what it means, and what to do. The first that fits counts.
MEANINGS = (
    ("password authentication failed", "the password is wrong", "correct postgres_password (in Vault)"),
    ("no password supplied", "the server wants a password, and there is none",
     "set postgres_password (in Vault)"),
    ("server certificate for", "the server's certificate is for another name",
     "write the host as the certificate has it"),
    ("does not match host name", "the server's certificate is for another name",
     "write the host as the certificate has it"),
    ("root certificate file", "the file with the trusted certificates is not where the address says",
     "set postgres_external_app_ca (see the README of role postgres)"),
    ("does not support SSL", "the server has no TLS",
     "switch ssl on there; or, in a network of your own, sslmode=prefer"),
    ("no encryption", "the server lets nobody in without TLS", "add sslmode=verify-full to the address"),
    ("no pg_hba.conf entry", "the server lets this role not in from here",
     "allow this host, role and database there (pg_hba.conf, or the provider's list of addresses)"),
    ("database \"", "the database is not there",
     "have it made: CREATE DATABASE {database} OWNER {user} ENCODING 'UTF8' TEMPLATE template0"),
    ("role \"", "the role is not there", "have it made: CREATE ROLE {user} LOGIN PASSWORD '…'"),
    ("permission denied for database", "the role may not connect to the database",
     "GRANT CONNECT ON DATABASE {database} TO {user}"),
    ("could not translate host name", "a host's name is unknown", "correct the host, or the DNS"),
    ("read-only", "no host of the address takes writes", "see that the cluster has a leader"),
    ("Connection refused", "nothing listens there", "correct host and port, or start the server"),
    ("timeout", "no answer in time", "see host, port, and the firewalls between"),
    ("No route", "there is no way to that host", "see host, network and firewalls"),
    ("unreachable", "there is no way to that host", "see host, network and firewalls"),
    ("No such container", "the app's container is gone", "start the app"),
    ("pull", "the image with PostgreSQL's tools can't be had", "see postgres_image, and the registry"),
    ("manifest", "the image with PostgreSQL's tools can't be had", "see postgres_image, and the registry"),
)  # fmt: skip


def write(path: str, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def pgpass(user: str, password: str) -> str:
    escaped = [part.replace("\\", "\\\\").replace(":", "\\:") for part in (user, password)]
    return f"*:*:*:{escaped[0]}:{escaped[1]}\n"


def complaint(wanted: dict[str, Any], directory: str) -> str:
    """What OpenSSL has against the certificate of a host; libpq only says that it has something."""
    context = ssl.create_default_context(
        cafile=os.path.join(directory, "ca.pem") if wanted["ca"] else None
    )
    # libpq is not that strict: what it takes is not what is wrong
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    for place in wanted["hosts"]:
        host, _, port = place.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE) as plain:
                plain.sendall(struct.pack("!ii", 8, SSL_REQUEST))
                if plain.recv(1) == b"S":
                    context.wrap_socket(plain, server_hostname=host.strip("[]")).close()
        except ssl.SSLCertVerificationError as error:
            return str(error.verify_message)
        except OSError:
            continue
    return "it can't be verified"


def untrusted(why: str, said: str) -> dict[str, str]:
    advice = "put the certificate of the server's CA into the file that postgres_external_ca names"
    if "expired" in why:
        advice = "have it renewed on the server"
    return {"what": f"its certificate: {why}", "said": said, "next": advice}


def explained(said: str, wanted: dict[str, Any]) -> dict[str, str]:
    """What libpq said, as cause and next step; of several hosts the last one counts, as libpq tells all."""
    lines = [line for line in said.splitlines() if line.strip()][-6:]
    database = re.sub(r"^.*@[^/]*/([^?]*).*$", r"\1", wanted["url"])
    last = lines[-1] if lines else ""
    for text in (last, " ".join(lines)):
        for sign, what, advice in MEANINGS:
            if sign in text:
                words = {"database": database, "user": wanted["user"]}
                return {"what": what, "said": "\n".join(lines), "next": advice.format(**words)}
    return {
        "what": "it can't be used",
        "said": "\n".join(lines) or "psql said nothing",
        "next": "see the words above",
    }


def sees(module: AnsibleModule, container: str, host: str, wanted: str) -> str:
    """Empty, or why a container does not see a file of the host under a name."""
    form = "{{ range .Mounts }}{{ .Source }}\t{{ .Destination }}\n{{ end }}"
    _, output, _ = module.run_command(["docker", "inspect", "--format", form, container])
    mounts = [line.split("\t") for line in output.splitlines() if line]
    for source, place in mounts:
        inside = os.path.relpath(os.path.realpath(host), os.path.realpath(source))
        if not inside.startswith("..") and os.path.normpath(os.path.join(place, inside)) == wanted:
            return ""
    told = ", ".join(f"{source} as {place}" for source, place in mounts) or "nothing of the host"
    return f"it sees {told}"


def look(module: AnsibleModule, directory: str) -> dict[str, Any]:
    wanted = module.params
    write(os.path.join(directory, "pgpass"), pgpass(wanted["user"], wanted["password"]))
    write(os.path.join(directory, "ca.pem"), wanted["ca"])
    beside = wanted["beside"]
    place = (
        ["--network", f"container:{beside}", "--volumes-from", f"{beside}:ro"]
        if beside
        else ["--network", "host"]
    )
    command = [
        "docker", "run", "--rm", "--interactive", *place, "--volume", f"{directory}:{PLACE}:ro",
        "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "128m",
        "--env", f"PGCONNECT_TIMEOUT={PATIENCE}", "--env", "PGAPPNAME=brainer-db look",
        "--entrypoint", "sh", wanted["image"], "-c", 'psql --version && exec psql "$@"', "psql",
        "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-v", f"schema={wanted['schema']}", "-d", wanted["url"],
    ]  # fmt: skip
    status, output, errors = module.run_command(command, data=QUERY)
    tools = re.match(r"psql \(PostgreSQL\) ([\d.]+)", output)
    found: dict[str, Any] = {"tools": tools[1] if tools else "0", "answers": False, "error": {}}
    lines = output.splitlines()
    file = wanted["file"]
    unseen = sees(module, beside, file["host"], file["container"]) if beside and file else ""
    if unseen:
        return {**found, "error": {
            "what": f"it does not see {file['host']} as {file['container']}, where the certificates would be",
            "said": unseen,
            "next": "set postgres_external_app_ca to a place that the app's compose file mounts",
        }}  # fmt: skip
    if "certificate verify failed" in errors:
        return {**found, "error": untrusted(complaint(wanted, directory), errors.strip())}
    if status or not lines or not lines[-1].startswith("{"):
        return {**found, "error": explained(errors, wanted)}
    return {**found, "answers": True, "server": json.loads(lines[-1])}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "ca": {"type": "str", "default": ""},
            "image": {"type": "str", "required": True},
            "hosts": {"type": "list", "elements": "str", "default": []},
            "beside": {"type": "str", "default": ""},
            "file": {"type": "dict", "default": {}},
            "schema": {"type": "str", "default": "public"},
        },
        supports_check_mode=True,
    )
    # where the engine finds it, too; in memory, and root's
    base = "/run" if os.access("/run", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="postgres_look-", dir=base) as directory:
        module.exit_json(changed=False, **look(module, directory))


if __name__ == "__main__":
    main()
