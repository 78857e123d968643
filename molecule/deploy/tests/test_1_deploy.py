"""Converge has migrated. New versions come: good ones, broken ones, and what can be wrong around them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from controller import ROOT, play, slow
from testinfra.host import Host

REGISTRY = ("-e", "deploy_registry=127.0.0.1:5000/team")
LOGIN = ("-e", "deploy_registry_user=ci", "-e", "deploy_registry_password=sesame")
#: An image is made in a moment: the packages are those of the one that runs.
DOCKERFILE = "FROM brainer-backend:1.0.0\nCOPY api/ api/\n"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """The example's, with a Dockerfile that adds only the code."""
    shutil.copytree(ROOT / "examples/brainer", tmp_path / "app")
    (tmp_path / "app/Dockerfile.backend").write_text(DOCKERFILE)
    (tmp_path / "app/.env").write_text("SECRET=of-a-developer")
    return tmp_path / "app"


def version(sources: Path, number: str) -> tuple[str, ...]:
    """The sources say that they are this version; words for the playbook."""
    main = sources / "api/main.py"
    main.write_text(main.read_text().replace('version="1.0.0"', f'version="{number}"'))
    return ("deploy.yml", "-e", f"deploy_source={sources}", "-e", f"deploy_version={number}")


def broken(sources: Path) -> None:
    dockerfile = sources / "Dockerfile.backend"
    dockerfile.write_text(DOCKERFILE + 'CMD ["python", "-c", "raise SystemExit(\'broken\')"]\n')


def runs(host: Host) -> tuple[str, str]:
    """The version that answers, and the container's id."""
    told = json.loads(host.check_output("curl -sS --fail http://127.0.0.1:8000/openapi.json"))
    container = host.check_output(
        "docker compose --project-directory /opt/brainer ps --quiet backend"
    )
    return told["info"]["version"], container


def left(host: Host) -> None:
    """Nothing of a deployment is left over."""
    names = host.check_output("docker ps --all --format '{{ .Names }}'").split()
    assert set(names) == {"brainer-backend-1", "brainer-postgres"}
    assert not host.file("/opt/brainer-db/migration/lock.json").exists
    assert not host.file("/opt/brainer-db/backend/login").exists
    assert host.check_output("ls /var/tmp | grep -c ^deploy || true") == "0"
    health = json.loads(host.check_output("curl -sS http://127.0.0.1:8000/health"))
    assert health == {"status": "ok", "database": "postgresql"}


def test_what_postgresql_would_refuse_is_refused_with_file_and_line(
    host: Host, sources: Path
) -> None:
    before = runs(host)
    (sources / "requirements.txt").write_text("fastapi\n")
    (sources / "api/report.py").write_text('\nrows = db.execute("SELECT julianday(at) FROM t")\n')
    words = (*version(sources, "1.0.1"), "--tags", "preflight")
    run = play(*words)
    assert run.rc == 2 and run.changed == 0
    for word in (
        "api/report.py:2: julianday() in SQL [sqlite-sql]",
        "instead: extract(epoch FROM moment) / 86400",
        "requirements.txt:1: no PostgreSQL driver",
        '{"deploy_accept_findings": ["sqlite-sql", "driver"]}',
    ):
        assert word in run.failure
    accepted = json.dumps({"deploy_accept_findings": ["sqlite-sql:api/report.py", "driver"]})
    assert play(*words, "-e", accepted).rc == 0
    assert runs(host) == before


def test_a_new_version_answers_and_the_former_is_remembered(host: Host, sources: Path) -> None:
    assert runs(host)[0] == "1.0.0"
    words = version(sources, "1.1.0")
    dry = play(*words, "--check")
    assert dry.rc == 0 and dry.changed == 0 and runs(host)[0] == "1.0.0"
    run = play(*words)
    assert run.rc == 0, run.failure
    assert "DEPLOYED: brainer-backend:1.1.0 runs" in run.told
    assert runs(host)[0] == "1.1.0"
    assert "1.1.0" in host.check_output("docker images brainer-backend")
    kept = json.loads(host.file("/opt/brainer-db/backend/images.json").content_string)
    assert len(kept) == 2
    inside = host.check_output("docker exec brainer-backend-1 ls -A /app")
    assert ".env" not in inside
    left(host)
    again = play(*words)
    assert again.rc == 0 and again.changed == 0 and "ALREADY DEPLOYED" in again.told
    (sources / "api/crud.py").open("a").write("\n# other sources\n")
    other = play(*words)
    assert other.rc == 2 and other.changed == 0 and "deploy_rebuild" in other.failure


def test_one_that_does_not_start_costs_nothing(host: Host, sources: Path) -> None:
    """Tried beside the app, which runs on in the same container."""
    before = runs(host)
    broken(sources)
    run = play(*version(sources, "1.2.0"), "-e", "backend_health_timeout=10")
    assert run.rc == 2
    for word in ("broken", "tried beside the app", "not touched", "Next:"):
        assert word in run.failure
    assert runs(host) == before
    left(host)


@slow
def test_one_that_was_not_tried_is_gone_again_by_itself(host: Host, sources: Path) -> None:
    broken(sources)
    words = ("-e", "deploy_try=false", "-e", "backend_health_timeout=8")
    run = play(*version(sources, "1.3.0"), *words)
    assert run.rc == 2
    for word in ("broken", "runs the image again that it ran before", "Next:"):
        assert word in run.failure
    assert runs(host)[0] == "1.1.0"
    left(host)


class TestServer:
    """What is wrong on the server, said before anything is made."""

    @slow
    def test_no_health_endpoint(self, host: Host, sources: Path) -> None:
        words = version(sources, "1.4.0")
        run = play(*words, "-e", "backend_health_path=/healthz", "--tags", "preflight")
        assert run.rc == 2 and run.changed == 0
        assert "nothing at http://127.0.0.1:8000/healthz: 404" in run.failure
        assert "backend_health_path=" in run.failure

    @slow
    def test_an_env_file_without_the_variables(self, host: Host, sources: Path) -> None:
        host.check_output("cp -a /opt/brainer/.env /root/env && sed -i /^D/d /opt/brainer/.env")
        try:
            run = play(*version(sources, "1.4.0"))
        finally:
            host.check_output("cp -a /root/env /opt/brainer/.env")
        assert run.rc == 2 and run.changed == 0
        assert "would start on sqlite" in run.failure and "site.yml" in run.failure

    @slow
    def test_a_version_that_is_no_tag(self, sources: Path) -> None:
        run = play("deploy.yml", "-e", f"deploy_source={sources}", "-e", "deploy_version=1.0:x")
        assert run.rc == 2 and run.changed == 0 and "is no version" in run.failure


class TestRegistry:
    """Debian's, with a password: pushed to, pulled from, closed, and not there."""

    def test_pushed_and_pulled(self, host: Host, sources: Path) -> None:
        words = version(sources, "1.5.0")
        run = play(*words, *REGISTRY, *LOGIN)
        assert run.rc == 0, run.failure
        assert runs(host)[0] == "1.5.0" and "sesame" not in run.output
        told = host.check_output(
            "curl -sS -u ci:sesame 127.0.0.1:5000/v2/team/brainer-backend/tags/list"
        )
        assert json.loads(told)["tags"] == ["1.5.0"]
        left(host)

    @slow
    def test_pushed_again_nothing_changes(self, host: Host, sources: Path) -> None:
        again = play(*version(sources, "1.5.0"), *REGISTRY, *LOGIN)
        assert again.rc == 0 and again.changed == 0 and "ALREADY DEPLOYED" in again.told
        left(host)

    def test_what_somebody_else_has_pushed(self, host: Host) -> None:
        """The server knows nothing of it; deployed without sources."""
        assert play("rollback.yml", "-e", "rollback_image=previous", "-e", "rollback_confirm=true").rc == 0  # fmt: skip
        assert runs(host)[0] == "1.1.0"
        host.check_output("docker rmi 127.0.0.1:5000/team/brainer-backend:1.5.0")
        words = ("deploy.yml", "-e", "deploy_build=false", *REGISTRY)
        absent = play(*words, *LOGIN, "-e", "deploy_version=9.9.9")
        assert absent.rc == 2 and absent.changed == 0
        assert "9.9.9" in absent.failure and "not touched" in absent.failure
        closed = play(*words, "-e", "deploy_version=1.5.0")
        assert closed.rc == 2 and closed.changed == 0 and "deploy_registry_user" in closed.failure
        assert runs(host)[0] == "1.1.0"
        run = play(*words, *LOGIN, "-e", "deploy_version=1.5.0")
        assert run.rc == 0, run.failure
        assert runs(host)[0] == "1.5.0"
        left(host)

    def test_one_that_does_not_answer(self, host: Host) -> None:
        words = ("deploy.yml", "-e", "deploy_build=false", "-e", "deploy_version=1.6.0")
        run = play(*words, "-e", "deploy_registry=127.0.0.1:5999")
        assert run.rc == 2 and run.changed == 0
        assert "127.0.0.1:5999" in run.failure and "Next" in run.failure
        left(host)
