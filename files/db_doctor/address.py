"""What is wrong with a DATABASE_URL, told from its text alone, without ever showing its password."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

#: Inside a container these are the container itself.
_SELF = ("localhost", "0.0.0.0")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True)
class Flaw:
    """One thing that is wrong: its name, and the evidence in words."""

    name: str
    evidence: str


@dataclass(frozen=True)
class Address:
    """The parts of an address, decoded; ``port`` as it is written."""

    user: str = ""
    password: str = ""
    host: str = ""
    port: str = ""
    database: str = ""


def split(url: str) -> Address:
    """The parts as libpq takes them apart: the last ``@`` before the first ``/ ? #`` ends the password.

    A wrong address gives wrong parts: ask ``flaws`` first.
    """
    rest = url.split("://", 1)[-1]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path = rest[len(authority) :]
    login, _, place = authority.rpartition("@")
    user, _, password = login.partition(":")
    # of several hosts the first one counts; they may stand among the options, too
    host, port = place.partition(",")[0], ""
    found = re.fullmatch(r"(\[[^\]]*\]|[^:]*):(.*)", host)
    if found:
        host, port = found[1], found[2]
    elif not host:
        options = dict(parse_qsl(rest.partition("?")[2]))
        host = options.get("host", "").partition(",")[0]
        port = options.get("port", "").partition(",")[0]
    database = re.split(r"[?#]", path[1:], maxsplit=1)[0] if path.startswith("/") else ""
    return Address(unquote(user), unquote(password), host.strip("[]"), port, unquote(database))


def masked(url: str) -> str:
    """The address with everything hidden that may be a part of its password, raw characters included."""
    head, mark, rest = url.partition("://")
    if not mark:
        return "(not shown: it may hold a password)" if len(url) > 12 else url
    rest = re.sub(r"((?:password|passfile)=)[^&]*", r"\1***", rest)
    if "@" not in rest:
        # without an @ there is no login; a colon and no port number is a password that lost its @
        return (
            f"{head}://{rest}" if re.match(r"[^:/?#]*(:\d+)?([/?#]|$)", rest) else f"{head}://***"
        )
    login, _, place = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    return f"{head}://{user}{':***' if colon else ''}@{place}"


def flaws(url: str) -> Iterator[Flaw]:
    """Everything that text alone tells, the first one first. ``url_encoding`` and ``url`` end the search."""
    shown = masked(url)
    if not url.strip():
        yield Flaw("url", "DATABASE_URL is empty, and DB_TYPE says postgres")
        return
    if url != url.strip() or url[0] in "'\"":
        yield Flaw("url", f"there are blanks or quotes around it: {shown}")
        return
    if "${" in url or re.search(r"\$[A-Z_]{3,}", url):
        yield Flaw("url", f"a variable in it was never filled in: {shown}")
        return
    scheme = _SCHEME.match(url)
    if scheme is None or not scheme[2]:
        yield Flaw("url", f"it doesn't begin with postgresql:// but with {url[:12]!r}")
        return
    if scheme[1].split("+")[0] not in ("postgresql", "postgres"):
        yield Flaw("url", f"it is an address of {scheme[1]}, not of PostgreSQL: {shown}")
        return
    raw = _raw(url.split("://", 1)[1])
    if raw:
        yield Flaw("url_encoding", f"{raw}: {shown}")
        return
    parts = split(url)
    if not parts.host:
        yield Flaw("url", f"it names no host: {shown}")
        return
    if parts.port and not (parts.port.isdigit() and 0 < int(parts.port) < 65536):
        yield Flaw("url", f"its port is {parts.port!r}, which is no number of one: {shown}")
        return
    if not parts.user or not parts.database:
        lacks = "no database" if parts.user else "no user"
        yield Flaw("url", f"it names {lacks}: {shown}")
        return
    if not parts.password and "password=" not in url and "passfile=" not in url:
        yield Flaw("url", f"it has no password: {shown}")
        return
    if own(parts.host):
        yield Flaw(
            "host", f"it says {parts.host}: inside the app's container that is the container itself"
        )


def own(host: str) -> bool:
    """Whether a name means whoever asks."""
    if host.lower() in _SELF:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _raw(rest: str) -> str:
    """What of a password is not percent-encoded, in words; empty if all is."""
    if _BAD_PERCENT.search(rest.split("?", 1)[0]):
        return "a % in it begins no percent-encoding (a % itself is %25)"
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    after = rest[len(authority) :]
    if "@" in (after.split("?", 1)[0] if "@" in authority else after):
        return "a / ? or # stands raw in its password (they are %2F %3F %23)"
    login, _, _ = authority.rpartition("@")
    if "@" in login:
        return "an @ stands raw in its password (it is %40)"
    if re.search(r"\s", login):
        return "a blank stands raw in its password (it is %20)"
    return ""
