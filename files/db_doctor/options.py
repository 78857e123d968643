"""Where everything is: a file of settings, checked. The defaults are Brainer's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pg_tools import settings

from db_doctor.errors import DoctorError


@dataclass(frozen=True)
class Options:
    """What the roles have set up, by name; no secret is among it."""

    container: str = "brainer-postgres"  #: empty: the server is elsewhere, and not ours
    #: what stands in the way of a server elsewhere, as JSON each: what, said, next
    elsewhere: tuple[str, ...] = ()
    network: str = "brainer_default"
    alias: str = "postgres"  #: the server's name on that network
    address: str = "127.0.0.1"  #: where its port is published
    port: int = 5432
    database: str = "brainer"
    user: str = "brainer"
    secrets: Path = Path("/opt/brainer-db/postgres/secrets")

    project: Path = Path("/opt/brainer")  #: the app's compose project
    service: str = "backend"
    compose_files: tuple[str, ...] = ()
    compose_env_files: tuple[str, ...] = ()
    env_file: Path = Path("/opt/brainer/.env")
    health_url: str = "http://127.0.0.1:8000/health"
    models: str = "api.models"  #: the module whose import declares the tables; empty: not compared

    migration: Path = Path("/opt/brainer-db/migration")
    disks: tuple[str, ...] = ("/", "/var/lib/docker", "/opt/brainer/backups")
    monitoring: Path = Path(
        "/opt/brainer-db/monitoring/config.json"
    )  #: limits, if they are set there
    lock: str = "unknown"  #: what the controller knows of lock.json's holder: none, held, stale
    now: float = 0.0  #: seconds since 1970 by the controller's clock; 0: nobody said
    skew: float = 30.0  #: seconds that both clocks may differ
    patience: int = 10  #: seconds that any one question may take


def from_file(path: Path) -> Options:
    """The settings in a JSON file.

    Raises:
        DoctorError: the file can't be read, or names a setting that doesn't exist.
    """
    return Options(**settings.read(path, Options(), DoctorError))
