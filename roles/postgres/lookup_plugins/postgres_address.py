"""An operator's address of a PostgreSQL server elsewhere, for the programs and for the app."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: postgres_address
short_description: Takes a postgresql:// URL without a password apart, and puts it together for somebody else
options:
  _terms: {required: true, description: One address; several hosts are fine. It may have no password.}
  passfile: {type: str, default: "", description: File with the password, as whoever uses the address sees it.}
  ca: {type: str, default: "", description: "File with the certificates that are trusted, as he sees it."}
  password: {type: str, default: "", description: "The password, for an address that must have it in it."}
"""

RETURN = r"""
_raw:
  type: list
  elements: dict
  description: >-
    "problem (empty, or why it can't be used), user, database, place (who, where, which; without options), hosts
    (HOST:PORT each), tls (the sslmode) and url"
"""

_URL = re.compile(
    r"postgres(?:ql)?://(?P<user>[^/?#]+)@(?P<place>[^/?#@]*)/(?P<database>[^/?#]+)(?:\?(?P<options>[^#]*))?"
)
#: Words that are ours to set, and where their values belong.
_OURS = {
    "password": "postgres_password (from Vault)",
    "passfile": "postgres_password (from Vault)",
    "user": "the address, before the @",
    "dbname": "the address, after the last /",
    "application_name": "nothing: each program says its own",
}
#: Modes in which the server has to show a certificate that somebody trusted has signed.
_VERIFIED = ("verify-ca", "verify-full")
#: libpq's own choice.
_MODE = "prefer"


def postgres_address(
    url: str, passfile: str = "", ca: str = "", password: str = ""
) -> dict[str, Any]:
    """See DOCUMENTATION."""
    # not urlsplit, which knows one host only
    found = _URL.fullmatch(url.strip())
    if found is None:
        return _bad("it is not postgresql://USER@HOST:PORT/DATABASE")
    user, place, database = found["user"], found["place"], found["database"]
    options = dict(parse_qsl(found["options"] or "", keep_blank_values=True))
    hosts, ports = _places(place, options)
    problem = _problem(user, hosts, options, ca)
    if problem:
        return _bad(problem)
    # read-write turns away from a leader whose role is read-only for a while, as it is during a switch
    if options.get("target_session_attrs") == "read-write":
        options["target_session_attrs"] = "primary"
    if ca:
        options["sslrootcert"] = ca
    if password and options.get("sslmode") != "disable":
        # a container's user is often not the one whose home its environment names, and to libpq a client certificate
        # that may not be read is an error; one that isn't there is none
        options.setdefault("sslcert", "/none")
    if passfile:
        options["passfile"] = passfile
    if len(hosts) > 1:
        # libpq takes this form as well as h1:1,h2:2, and SQLAlchemy takes no other
        options = {
            "host": ",".join(host.strip("[]") for host in hosts),
            "port": ",".join(ports),
            **options,
        }
        netloc = ""
    else:
        options.pop("host", None)
        options.pop("port", None)
        netloc = f"{hosts[0]}:{ports[0]}"
    who = f"{user}:{quote(password, safe='')}" if password else user
    words = urlencode(options, safe="/,:", quote_via=quote)
    return {
        "problem": "",
        "user": unquote(user),
        "database": unquote(database),
        "place": f"{unquote(user)}@{','.join(map(':'.join, zip(hosts, ports, strict=True)))}/{unquote(database)}",
        "hosts": list(map(":".join, zip(hosts, ports, strict=True))),
        "tls": options.get("sslmode", _MODE),
        "url": f"postgresql://{who}@{netloc}/{database}" + (f"?{words}" if words else ""),
    }


def _places(place: str, options: dict[str, str]) -> tuple[list[str], list[str]]:
    """Hosts and ports, as many of one as of the other."""
    if not place:
        hosts = [host for host in options.get("host", "").split(",") if host]
        ports = options.get("port", "5432").split(",")
        return hosts, ports if len(ports) == len(hosts) else ports[:1] * len(hosts)
    hosts, ports = [], []
    for one in place.split(","):
        # [::1]:5432
        head, bracket, tail = one.rpartition("]")
        host, _, port = tail.partition(":")
        hosts.append(head + bracket + host)
        ports.append(port or options.get("port", "5432"))
    return hosts, ports


def _problem(user: str, hosts: list[str], options: dict[str, str], ca: str) -> str:
    if not hosts or not all(hosts):
        return "it names no host"
    if ":" in user:
        return "it has a password in it, and an address is shown: put that into postgres_password (from Vault)"
    for word, place in _OURS.items():
        if word in options:
            return f"it has {word}= in it, which belongs into {place}"
    if len(hosts) > 1 and options.get("target_session_attrs") not in ("read-write", "primary"):
        return (
            "it names several hosts: add target_session_attrs=read-write, or a standby may answer"
        )
    if options.get("sslrootcert", "system") != "system":
        return (
            "it has sslrootcert= in it: put that file (on the controller) into postgres_external_ca"
        )
    trusted = ca or options.get("sslrootcert")
    if options.get("sslmode") in _VERIFIED and not trusted:
        mode = options["sslmode"]
        return f"sslmode={mode} has to know whom to trust: set postgres_external_ca, or sslrootcert=system"
    return ""


def _bad(problem: str) -> dict[str, Any]:
    return {
        "problem": problem, "user": "", "database": "", "place": "", "hosts": [], "tls": "", "url": "",
    }  # fmt: skip


class LookupModule(LookupBase):
    """Makes it known to Ansible."""

    def run(
        self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """See DOCUMENTATION."""
        return [postgres_address(str(term), **kwargs) for term in terms]
