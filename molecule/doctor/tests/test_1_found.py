"""Broken for real on the server, found by name with its evidence, mended by the printed command."""

from __future__ import annotations

import json
import time

import pytest
from patient import (
    MIGRATION,
    MODELS,
    TARGET,
    UP,
    by_hand,
    env_file,
    look,
    only,
    psql,
    well,
)  # fmt: skip
from testinfra.host import Host

SEQUENCE = "pg_get_serial_sequence('exercises', 'id')"


def test_a_healthy_one(host: Host) -> None:
    said = host.run("db_doctor")
    assert said.rc == 0, said.stdout
    assert said.stdout.splitlines()[0] == "nothing found"
    assert "not looked at" not in said.stdout


class TestData:
    def test_a_sequence_behind(self, host: Host) -> None:
        highest = psql(host, "SELECT max(id) FROM exercises")
        psql(host, f"SELECT setval({SEQUENCE}, 1)")
        one = only(host, "sequences", f"exercises.id has {highest}")
        by_hand(host, one)
        assert psql(host, f"SELECT nextval({SEQUENCE})") == str(int(highest) + 1)

    def test_a_sequence_is_never_set_back(self, host: Host) -> None:
        psql(host, f"SELECT setval({SEQUENCE}, 999)")
        refused = host.run("db_doctor mend sequences")
        assert refused.rc == 1 and "nothing to mend" in refused.stdout
        assert psql(host, f"SELECT nextval({SEQUENCE})") == "1000"

    def test_json_against_text(self, host: Host) -> None:
        rows = "SELECT md5(string_agg(content::jsonb::text, '' ORDER BY id)) FROM courses"
        before = psql(host, rows)
        psql(host, "ALTER TABLE courses ALTER content TYPE text, ALTER content SET DEFAULT '{}'")
        one = only(host, "types", "courses.content is text, the models say json", models=MODELS)
        by_hand(host, one)
        kind = "SELECT data_type, column_default FROM information_schema.columns"
        kind += " WHERE table_name = 'courses' AND column_name = 'content'"
        assert psql(host, kind) == "json|('{}'::text)::json"
        assert psql(host, rows) == before
        psql(host, "ALTER TABLE courses ALTER content DROP DEFAULT")

    def test_a_text_that_is_no_json_stays(self, host: Host) -> None:
        psql(host, "ALTER TABLE parts ADD extra text")
        psql(host, "ALTER TABLE courses ALTER content TYPE text")
        psql(host, "UPDATE courses SET content = '{' || content WHERE id = 1")
        refused = host.run("db_doctor mend types")
        assert refused.rc == 1 and "invalid input syntax for type json" in refused.stdout
        psql(host, "UPDATE courses SET content = substr(content, 2) WHERE id = 1")
        host.check_output("db_doctor mend types")
        psql(host, "ALTER TABLE parts DROP extra")
        well(host)

    def test_another_collation(self, host: Host) -> None:
        psql(host, "UPDATE pg_database SET datcollversion = '0.1' WHERE datname = 'brainer'")
        one = only(host, "collation", "brainer: made with 0.1, now ")
        by_hand(host, one)

    def test_closed_by_a_migration(self, host: Host) -> None:
        host.check_output("migrate_db close --target %s", TARGET)
        only(host, "held", "migrate_db.state says held")
        host.check_output("migrate_db open --target %s", TARGET)
        well(host)

    def test_emptied(self, host: Host) -> None:
        host.check_output("db_backup nightly")
        before = psql(host, "SELECT count(*) FROM exercises")
        psql(host, "TRUNCATE courses CASCADE")
        one = only(host, "empty", "none with a row")
        by_hand(host, one)
        assert psql(host, "SELECT count(*) FROM exercises") == before
        host.check_output("db_backup restore --forget")

    def test_not_empty_before_a_migration(self, host: Host) -> None:
        psql(host, "ALTER SCHEMA migrate_db RENAME TO elsewhere")
        with env_file(host, "s/^DB_TYPE=.*/DB_TYPE=sqlite/"):
            found = look(host)
        psql(host, "ALTER SCHEMA elsewhere RENAME TO migrate_db")
        assert "courses" in found["not_empty"]["evidence"][0]
        assert "migration_replace=true" in found["not_empty"]["next"]
        well(host)


class TestAddress:
    @pytest.mark.parametrize(
        ("expression", "name", "evidence"),
        [
            (r"s|^(DATABASE_URL=.*:)[^:@]*@|\1not-it@|", "password", "password authentication failed"),
            (r"s|^(DATABASE_URL=.*:)[^:@]*@|\1p@ss/w0rd@|", "url_encoding", "stands raw in its password"),
            (r"s|^(DATABASE_URL=.*:)[^:@]*@|\1100%sure@|", "url_encoding", "%25"),
            (r"s|^(DATABASE_URL=.*@)postgres:|\1localhost:|", "host", "the container itself"),
            (r"s|^(DATABASE_URL=.*@)postgres:|\1db:|", "host", "the server is"),
            (r"s|^(DATABASE_URL=.*@postgres:)5432|\15433|", "app_port", "@postgres:5433/"),
            (r"s|^(DATABASE_URL=.*)/brainer|\1/other|", "database", "/other"),
            (r"s|^DATABASE_URL=.*|DATABASE_URL=sqlite:////app/data/x.db|", "url", "an address of sqlite"),
            (r"s|^DATABASE_URL=.*|DATABASE_URL=|", "url", "is empty"),
        ],
    )  # fmt: skip
    def test_in_the_env_file(self, host: Host, expression: str, name: str, evidence: str) -> None:
        """The app still runs with the former one: only the cause is told, not what will come of it."""
        with env_file(host, expression):
            one = only(host, name, evidence)
        secret = host.file("/opt/brainer-db/postgres/secrets/password").content_string.strip()
        assert secret not in json.dumps(one) and "w0rd" not in json.dumps(one)
        assert one["next"].endswith("doctor_fix=env_url")

    def test_a_change_that_nobody_started(self, host: Host) -> None:
        with env_file(host, r"s|^(DATABASE_URL=.*)|\1?application_name=app|"):
            one = only(host, "app_env", "DATABASE_URL was changed")
            by_hand(host, one)
        host.check_output(UP)
        well(host)

    def test_a_file_that_compose_cannot_read(self, host: Host) -> None:
        with env_file(host, "1s/^/not a line of an env file\\n/"):
            only(host, "compose", "env")
        well(host)

    def test_no_such_role(self, host: Host) -> None:
        psql(host, "ALTER ROLE brainer RENAME TO somebody")
        one = only(host, "role", "somebody")
        psql(host, "ALTER ROLE somebody RENAME TO brainer")
        assert one["fix"] == "database"
        well(host)

    def test_no_such_database(self, host: Host) -> None:
        rename = "ALTER DATABASE {} RENAME TO {}"
        away = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'brainer'"
        host.check_output(
            "docker exec brainer-postgres psql -X -U postgres -d postgres -v ON_ERROR_STOP=1"
            " -c 'ALTER DATABASE brainer ALLOW_CONNECTIONS false' -c %s -c %s"
            " -c 'ALTER DATABASE away ALLOW_CONNECTIONS true'",
            away, rename.format("brainer", "away"),
        )  # fmt: skip
        one = only(host, "database", "away")
        psql(host, rename.format("away", "brainer"), "postgres")
        assert "db_backup restore" in one["by_hand"]
        well(host)


class TestContainers:
    def test_another_network(self, host: Host) -> None:
        host.check_output("docker network disconnect brainer_default brainer-postgres")
        one = only(host, "network", "the server in none")
        by_hand(host, one)

    def test_without_its_name(self, host: Host) -> None:
        host.check_output(
            "docker network disconnect brainer_default brainer-postgres"
            " && docker network connect brainer_default brainer-postgres"
        )
        one = only(host, "alias", "the server is")
        by_hand(host, one)

    def test_the_server_is_down(self, host: Host) -> None:
        host.check_output("docker stop brainer-postgres")
        one = only(host, "server_down", "it is exited, exit code 0")
        by_hand(host, one)

    def test_its_port_is_taken(self, host: Host) -> None:
        host.check_output(
            "docker stop brainer-postgres && systemd-run --unit=thief /usr/bin/python3 -m http.server 5432"
            " --bind 127.0.0.1 2>&1"
        )
        time.sleep(1)
        assert host.run("docker start brainer-postgres").rc != 0
        one = only(host, "port_taken", "127.0.0.1:5432 by python3")
        host.check_output("systemctl stop thief")
        assert "doctor_fix=start_server" in one["next"]
        by_hand(host, only(host, "server_down", "it is exited"))

    def test_it_fails_at_its_start(self, host: Host) -> None:
        conf = "/opt/brainer-db/postgres/etc/conf.d/99-bad.conf"
        host.check_output(f"echo 'no_such_thing = 1' >{conf}; docker restart brainer-postgres")
        deadline = time.monotonic() + 20
        while "server_restarting" not in (found := look(host)) and time.monotonic() < deadline:
            time.sleep(0.5)
        host.check_output(f"rm {conf}; docker restart brainer-postgres")
        assert list(found) == ["server_restarting"], found
        assert "no_such_thing" in str(found["server_restarting"]["evidence"])
        well(host)

    def test_there_is_none(self, host: Host) -> None:
        host.check_output("docker rename brainer-postgres elsewhere")
        one = only(host, "server_absent", "does not list it")
        host.check_output("docker rename elsewhere brainer-postgres")
        assert "site.yml" in one["next"]

    def test_open_to_everybody(self, host: Host) -> None:
        image = host.check_output("docker inspect --format '{{ .Config.Image }}' brainer-postgres")
        host.check_output(
            f"docker run --detach --name wide-open --publish 15432:5432 --entrypoint sleep {image} 60"
        )
        found = look(host, container="wide-open", port=15432)
        host.check_output("docker rm --force wide-open")
        assert found["port_open"]["evidence"] == ["published on 0.0.0.0:15432"]
        assert "postgres_bind_address=127.0.0.1" in found["port_open"]["next"]

    def test_the_app_is_down(self, host: Host) -> None:
        host.check_output("docker stop brainer-backend-1")
        one = only(host, "app_down", "brainer-backend-1 is exited")
        by_hand(host, one)

    def test_the_app_fails_at_its_start(self, host: Host) -> None:
        with env_file(host, "s/^DB_TYPE=.*/DB_TYPE=oracle/"):
            host.check_output(UP)
            deadline = time.monotonic() + 20
            while "app_restarting" not in (found := look(host)) and time.monotonic() < deadline:
                time.sleep(0.5)
        host.check_output(UP)
        assert list(found) == ["app_restarting"], found
        assert "DB_TYPE is 'oracle'" in str(found["app_restarting"]["evidence"])
        well(host)

    def test_out_of_memory(self, host: Host) -> None:
        host.run("docker exec brainer-postgres sh -c 'head -c 2G /dev/zero | tail >/dev/null'")
        one = only(host, "oom", "the kernel killed 1 processes in brainer-postgres")
        by_hand(host, one)

    def test_no_engine(self, host: Host) -> None:
        host.check_output("systemctl stop docker.socket docker 2>&1")
        one = only(host, "docker", "ocker")
        assert one["next"].endswith("doctor_fix=start_docker")
        by_hand(host, one)


class TestHost:
    def test_a_full_disk(self, host: Host) -> None:
        where = "/opt/brainer/backups/full"
        host.check_output(f"mkdir -p {where} && mount -t tmpfs -o size=4m tmpfs {where}")
        host.run(f"head -c 8M /dev/zero >{where}/x")
        one = only(host, "disk_full", f"0 B of 4.0 MB free (0 %) on {where}", disks=["/", where])
        host.check_output(f"umount {where} && rmdir {where}")
        assert "docker system df" in one["next"]

    def test_a_wrong_clock(self, host: Host) -> None:
        only(host, "clock", "the VPS is 60 min behind", now=time.time() + 3600)

    def test_a_switch_cut_short(self, host: Host) -> None:
        host.check_output(f"touch {MIGRATION}/rollback.json")
        one = only(host, "half_switched", "rollback.json is there")
        host.check_output(f"rm {MIGRATION}/rollback.json")
        assert "rollback.yml" in one["next"]

    def test_an_upgrade_cut_short(self, host: Host) -> None:
        """That the server is down is its consequence; to start the former one would let the app write there."""
        host.check_output(
            "touch /opt/brainer-db/postgres/upgrade.json && docker stop brainer-postgres"
        )
        try:
            one = only(host, "half_upgraded", "upgrade.json is there")
        finally:
            host.check_output(
                "rm /opt/brainer-db/postgres/upgrade.json && docker start brainer-postgres"
            )
            well(host)
        assert "upgrade.yml" in one["next"]

    def test_nothing_was_ever_installed(self, host: Host) -> None:
        """Neither Docker nor the app, nor any file of ours; system Python alone."""
        said = host.run(
            "PATH=/nowhere PYTHONPATH=/opt/brainer-db/toolkit/current /usr/bin/python3 -B -m db_doctor"
        )
        assert said.rc == 3, said.stderr
        assert "1. docker: there is no Docker on this server" in said.stdout
        assert "ansible-playbook playbooks/site.yml" in said.stdout
        found = look(host, project="/nowhere", migration="/nowhere", secrets="/nowhere/x")
        assert found == {}

    def test_somebody_who_may_not_see_it(self, host: Host) -> None:
        """To him the engine would look as if it were down."""
        said = host.run("runuser --login deploy --command db_doctor")
        assert said.rc == 1 and "sudo db_doctor" in said.stdout

    def test_a_setting_that_there_is_not(self, host: Host) -> None:
        said = host.run("echo '{\"prot\": 1}' | db_doctor look --config /dev/stdin")
        assert said.rc == 2 and "unknown settings: prot" in said.stdout


def test_well_at_the_end(host: Host) -> None:
    test_a_healthy_one(host)
