# MIT License, see LICENSE in the project root
"""What the backend modules share: asking compose and the engine about one service, and asking the app for its health.

Everything here reads. What compose prints can hold secrets, so none of it leaves this file unmasked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

KEYS = ("DB_TYPE", "DATABASE_URL")
ACTIVE = ("running", "restarting", "paused")
COMPOSE_OPTIONS: dict[str, Any] = {
    "project_dir": {"type": "path", "required": True},
    "service": {"type": "str", "required": True},
    "files": {"type": "list", "elements": "path", "default": []},
    "env_files": {"type": "list", "elements": "path", "default": []},
}


class Problem(Exception):
    """What is wrong, where, and the next command: what a person needs on one screen."""

    def __init__(self, what: str, where: str, following: str, more: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.following, self.more = what, where, following, more

    def __str__(self) -> str:
        parts = [self.what, f"  where: {self.where}", self.more.rstrip(), f"Next: {self.following}"]
        return "\n".join(part for part in parts if part)


@dataclass
class Container:
    """One container of the service."""

    name: str
    id: str
    state: str
    health: str
    image: str
    config_hash: str
    restarts: int
    oneoff: bool
    addresses: list[str]
    env: dict[str, str] = field(repr=False)

    def public(self) -> dict[str, Any]:
        """All of it but the environment, which holds secrets."""
        return {key: value for key, value in asdict(self).items() if key != "env"}


@dataclass
class Answer:
    """What the app said when asked for its health."""

    url: str
    ok: bool
    text: str
    database: str = ""


def ask(url: str, timeout: float = 5) -> Answer:
    """One health request. No proxy: the app is on this host."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout) as response:
            status, body = response.status, response.read(2000)
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read(2000)
    except (OSError, ValueError) as error:  # URLError and http.client's are among them or wrap them
        return Answer(url, False, f"no answer: {getattr(error, 'reason', error)}")
    except Exception as error:  # http.client.HTTPException: something that does not speak HTTP
        return Answer(url, False, f"no HTTP answer: {error!r}")
    text = body.decode("utf-8", "replace").strip()
    try:
        said = json.loads(text).get("database", "")
    except (ValueError, AttributeError):
        said = ""
    return Answer(url, status == 200, f"{status} {text[:300]}", db_type(str(said)) if said else "")


def db_type(value: str) -> str:
    """`sqlite` or `postgres`, whatever spelling the app accepts; its own default is SQLite."""
    value = value.strip().lower()
    if value.startswith("postgres"):
        return "postgres"
    return value or "sqlite"


def masked(url: str) -> str:
    """A database URL without its password."""
    return re.sub(
        r"(://[^:/@]*):.*@",
        r"\1:********@",
        re.sub(r"(password|passfile)=[^&]*", r"\1=********", url),
    )


def _as_map(environment: dict[str, str | None] | list[str]) -> dict[str, str | None]:
    """Both forms of `environment`; without interpolation, compose leaves or makes it a list. A bare KEY has None."""
    if isinstance(environment, dict):
        return environment
    return {
        key: value if equals else None
        for key, equals, value in (item.partition("=") for item in environment)
    }


class Service:
    """One service of the operator's compose project."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.directory: str = os.path.abspath(module.params["project_dir"])
        self.name: str = module.params["service"]
        self.base = ["docker", "compose", "--project-directory", self.directory]
        for option, paths in (
            ("--file", module.params["files"]),
            ("--env-file", module.params["env_files"]),
        ):
            for path in paths:
                self.base += [option, path]
        self._config: dict[str, Any] | None = None

    # -- what compose says ------------------------------------------------------------------------------------------

    def docker(self, *arguments: str, data: str | None = None) -> tuple[int, str, str]:
        """Run docker in the project's directory: exit code, standard output, standard error."""
        result: tuple[int, str, str] = self.module.run_command(
            list(arguments), cwd=self.directory, data=data
        )
        return result

    @property
    def config(self) -> dict[str, Any]:
        """The project as compose resolves it: files merged, variables filled in. Holds secrets."""
        if self._config is None:
            self._config = self._read_config()
        return self._config

    def _read_config(self, *options: str) -> dict[str, Any]:
        if not shutil.which("docker"):
            raise Problem(
                "There is no Docker on this host.",
                "docker is not in PATH",
                "ansible-playbook playbooks/site.yml",
            )
        if not os.path.isdir(self.directory):
            raise Problem(
                "There is no compose project.",
                f"{self.directory} is not a directory",
                "deploy the app, or set backend_project_dir to the directory of its docker-compose.yml",
            )
        # With its name given, a service that is in a profile is found too.
        code, out, err = self.docker(*self.base, "config", "--format", "json", *options, self.name)
        if code:
            raise self._explained(err)
        config: dict[str, Any] = json.loads(out)
        return config

    def _explained(self, err: str) -> Problem:
        code, _, _ = self.docker("docker", "compose", "version")
        if code:
            return Problem(
                "Docker is here, but its compose plugin is not.",
                "docker compose version",
                "apt-get install docker-compose (Debian 13), docker-compose-v2 (Ubuntu) or docker-compose-plugin",
            )
        if "no configuration file" in err:
            return Problem(
                "There is no compose project.",
                f"no docker-compose.yml in {self.directory}",
                "deploy the app, or set backend_project_dir to the directory of its docker-compose.yml",
            )
        if "no such service" in err:
            _, names, _ = self.docker(*self.base, "config", "--services")
            return Problem(
                f"The compose project has no service `{self.name}`; it has: {', '.join(sorted(names.split()))}.",
                self.directory,
                "set backend_service to the one that serves the API",
            )
        # compose quotes the line of an env file it cannot read, with what is in it
        reason = re.sub(r"""(near|value) ["'].*""", r"\1 ...", err.strip(), flags=re.DOTALL)
        return Problem(
            "docker compose cannot read the project.",
            self.directory,
            f"cd {self.directory} && docker compose config --quiet",
            more=f"  {reason[-500:]}",
        )

    @property
    def project(self) -> str:
        """The compose project's name."""
        name: str = self.config["name"]
        return name

    @property
    def definition(self) -> dict[str, Any]:
        """The service as compose resolves it."""
        found: dict[str, Any] = self.config["services"][self.name]
        return found

    @property
    def image(self) -> str:
        """The image that a start uses; compose names what it builds itself PROJECT-SERVICE."""
        return str(self.definition.get("image") or f"{self.project}-{self.name}")

    @property
    def environment(self) -> dict[str, str]:
        """What a container started now would get. Compose doubles `$` in what it prints."""
        given = self.definition.get("environment") or {}
        return {key: str(given[key] or "").replace("$$", "$") for key in KEYS if key in given}

    def unwired(self, env_file: str) -> list[str]:
        """Keys that the service would not take from the env file, however it is changed."""
        raw = self._read_config("--no-interpolate")["services"][self.name]
        own = _as_map(raw.get("environment") or {})
        listed = [
            os.path.realpath(item["path"] if isinstance(item, dict) else item)
            for item in raw.get("env_file") or []
        ]
        read = [os.path.realpath(path) for path in self.module.params["env_files"]] or [
            os.path.realpath(os.path.join(self.directory, ".env"))
        ]
        file = os.path.realpath(env_file)
        loose = []
        for key in KEYS:
            if key in own:  # `environment` wins over `env_file`
                wired = file in read and (
                    own[key] is None or re.search(rf"\$\{{?{key}\b", str(own[key]))
                )
            else:
                wired = file in listed
            if not wired:
                loose.append(key)
        return loose

    def config_hash(self) -> str:
        """Compose's hash of the service as it is on disk, which containers made from it carry; "" when not told."""
        code, out, _ = self.docker(*self.base, "config", "--hash", self.name)
        return out.split()[-1] if code == 0 and out.split() else ""

    # -- what the engine says ---------------------------------------------------------------------------------------

    def containers(self, project: str = "", service: str = "") -> list[Container]:
        """All containers of the service, stopped ones and one-offs included."""
        labels = {"project": project or self.project, "service": service or self.name}
        filters = [
            f"--filter=label=com.docker.compose.{key}={value}" for key, value in labels.items()
        ]
        code, out, err = self.docker("docker", "ps", "--all", "--quiet", "--no-trunc", *filters)
        if code:
            raise Problem(
                "The Docker engine does not answer.", err.strip()[-300:], "systemctl status docker"
            )
        if not out.split():
            return []
        # one that goes away between the two calls is named on stderr and left out
        _, out, _ = self.docker("docker", "inspect", "--type=container", *out.split())
        return sorted(
            (self._container(item) for item in json.loads(out or "[]")),
            key=lambda found: found.name,
        )

    @staticmethod
    def _container(found: dict[str, Any]) -> Container:
        labels = found["Config"].get("Labels") or {}
        networks = found["NetworkSettings"].get("Networks") or {}
        env = dict(item.partition("=")[::2] for item in found["Config"].get("Env") or [])
        return Container(
            name=found["Name"].lstrip("/"),
            id=found["Id"],
            state=found["State"]["Status"],
            health=(found["State"].get("Health") or {}).get("Status", ""),
            image=found["Config"]["Image"],
            config_hash=labels.get("com.docker.compose.config-hash", ""),
            restarts=found.get("RestartCount", 0),
            oneoff=labels.get("com.docker.compose.oneoff") == "True",
            addresses=[item["IPAddress"] for item in networks.values() if item.get("IPAddress")],
            env=env,
        )

    def logs(self, container: str, lines: int = 15) -> str:
        """The last lines a container logged, both streams in the order they came, without passwords."""
        command = f'exec docker logs --tail {lines} "$0" 2>&1'
        _, out, _ = self.module.run_command(["/bin/sh", "-c", command, container])
        return "\n".join(f"    {line[:200]}" for line in self.hide(out).splitlines()[-lines:])

    def hide(self, text: str, *urls: str) -> str:
        """The text without the passwords of the database URLs known here."""
        for url in (self.environment.get("DATABASE_URL", ""), *urls):
            password = urlsplit(url).password if "@" in url else None
            for secret in {password, unquote(password)} if password else ():
                text = text.replace(secret, "********")
        return text

    # -- waiting ----------------------------------------------------------------------------------------------------

    def wait_healthy(
        self, url: str, seconds: float, project: str = "", service: str = ""
    ) -> Answer:
        """Ask until the app answers 200; Problem with the last answer and log lines when it does not in time."""
        started = time.monotonic()
        gone = 0
        while True:
            answer = ask(url)
            containers = self.containers(project, service)
            active = [item for item in containers if item.state in ACTIVE]
            # Someone else may answer on that address, so a running container is part of being healthy.
            if answer.ok and any(item.state == "running" for item in active):
                return answer
            # Nothing restarts a container that has ended, so there is nothing to wait for.
            gone = 0 if active else gone + 1
            passed = time.monotonic() - started
            if passed >= seconds or gone >= 3:
                raise self._unhealthy(answer, containers, passed)
            time.sleep(0.3)

    def _unhealthy(self, answer: Answer, containers: list[Container], passed: float) -> Problem:
        more, name = "  state: there is no container\n", ""
        for item in containers[:1]:
            name = item.name
            kind = db_type(item.env.get("DB_TYPE", ""))
            more = f"  state: container {name} is {item.state} (restarted {item.restarts} times), on {kind}\n"
            more += f"  its last log lines:\n{self.logs(item.id)}\n"
        return Problem(
            f"The app is not healthy after {passed:.0f} s.",
            answer.url,
            f"docker logs --tail 100 {name}"
            if name
            else f"cd {self.directory} && docker compose up -d {self.name}",
            more=f"  last answer: {self.hide(answer.text)}\n{more}",
        )
