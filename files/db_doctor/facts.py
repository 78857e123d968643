"""What one look found, for the rules to judge. What could not be looked at is a part of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from db_status.seen import Row, Seen

from db_doctor.ask import Said

#: The engine waits no longer than this before it starts a container again.
_LONGEST_WAIT = timedelta(minutes=1)


@dataclass
class App:
    """The app's service: what its files say, and what runs."""

    there: bool = False  #: compose knows the service
    why: str = ""  #: why not
    absent: bool = False  #: there is no project at all: nothing was deployed here
    url: str = ""  #: what the next start gets (a secret)
    kind: str = "sqlite"  #: the database of the next start
    networks: tuple[str, ...] = ()
    image: str = ""
    containers: list[Row] = field(default_factory=list)  #: as docker inspects them
    running_url: str | None = None  #: what the running one got (a secret)
    running_kind: str = ""
    healthy: bool = False
    health: str = ""
    log: tuple[str, ...] = ()  #: its last lines, if it is not healthy


@dataclass
class Server:
    """The server's container, and what the server says from inside it."""

    container: Row = field(default_factory=dict)  #: as docker inspects it; empty: there is none
    log: tuple[str, ...] = ()
    why: str = ""  #: why it does not answer
    roles: tuple[str, ...] = ()
    databases: list[Row] = field(default_factory=list)
    #: of the app's address and of the secret file: None when not tried, else the server's complaint or nothing
    login_app: str | None = None
    login_secret: str | None = None
    same_secret: bool = True  #: the address has the password that the file has

    @property
    def running(self) -> bool:
        """Whether its container runs."""
        return bool((self.container.get("State") or {}).get("Running")) and not self.restarting

    @property
    def restarting(self) -> bool:
        """Whether the engine starts it again and again."""
        return (self.container.get("State") or {}).get("Status") == "restarting"


@dataclass
class Data:
    """The app's database."""

    asked: bool = False
    tables: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)  #: those with a row
    columns: list[Row] = field(default_factory=list)
    sequences: list[Row] = field(default_factory=list)
    migration: Row = field(default_factory=dict)  #: migrate_db.state; empty: nothing was migrated
    declared: dict[str, dict[str, str]] = field(default_factory=dict)  #: by the app's models


@dataclass
class Facts:
    """One look from the outside in."""

    seen: Seen  #: disks, memory and containers, as ``db_status`` sees them
    engine: str = ""  #: why it does not answer; empty: it does
    enginepath: bool = True  #: there is a docker command
    listeners: tuple[str, ...] = ()  #: who has the port, a process each
    app: App = field(default_factory=App)
    server: Server = field(default_factory=Server)
    data: Data = field(default_factory=Data)
    host_resolves: bool = False  #: the address names another machine, which the VPS knows
    kernel_oom: tuple[str, ...] = ()
    clock: Row = field(default_factory=dict)
    kernel: Row = field(default_factory=dict)
    left: Row = field(default_factory=dict)  #: lock.json, and the marks of a switch or an upgrade
    notes: list[str] = field(default_factory=list)  #: what could not be looked at, and why

    def fails_at_its_start(self, container: Row) -> bool:
        """Whether the engine starts it again and again: it waits for its next start, or runs since its last one.

        A program that takes seconds to fail is more often found running than waiting. The engine's count begins anew
        when somebody starts the container by hand.
        """
        state = container.get("State") or {}
        if state.get("Status") == "restarting":
            return True
        if not state.get("Running") or int(container.get("RestartCount") or 0) < 2:
            return False
        return _moment(self.seen.at) - _moment(state["StartedAt"]) < _LONGEST_WAIT

    def could_not(self, what: str, said: Said | str) -> None:
        """Note something that could not be looked at."""
        self.notes.append(f"{what}: {said if isinstance(said, str) else said.why}")


def _moment(text: str) -> datetime:
    """A moment of UTC without its fraction, which the engine writes in nanoseconds."""
    return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")
