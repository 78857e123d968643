"""What an operator, the app and a stranger see of the server. All logins go over TCP from outside its container."""

import json
import os
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

SCENARIO = Path(__file__).parent.parent
PASSWORDS = yaml.safe_load((SCENARIO / "vars.yml").read_text())
SECRETS = "/opt/brainer-db/postgres/secrets"
LOGIN = """
import json, psycopg2, sys
user, database, query = sys.argv[1:]
try:
    connection = psycopg2.connect(host="127.0.0.1", user=user, dbname=database, password=sys.stdin.read())
    cursor = connection.cursor()
    cursor.execute(query)
    connection.commit()
    print(json.dumps(cursor.fetchall() if cursor.description else []))
except psycopg2.Error as error:
    print(json.dumps(str(error)))
"""


def login(
    host: Host, user: str, password: str, query: str = "SELECT 1", database: str = "brainer"
) -> Any:
    """The rows, or the server's refusal as a string."""
    command = "printf '%%s' %s | python3 -c %s %s %s %s"
    return json.loads(host.check_output(command, password, LOGIN, user, database, query))


def app(host: Host, query: str) -> Any:
    return login(host, "brainer", PASSWORDS["rotated_password"], query)


def superuser(host: Host, query: str, database: str = "brainer") -> Any:
    return login(host, "postgres", PASSWORDS["rotated_superuser_password"], query, database)


@pytest.fixture
def container(host: Host) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(host.check_output("docker inspect brainer-postgres"))
    return found[0]


class TestLogin:
    def test_the_rotated_passwords_are_accepted(self, host: Host) -> None:
        assert app(host, "SELECT 1") == [[1]]
        assert superuser(host, "SELECT 1") == [[1]]

    @pytest.mark.parametrize(
        ("user", "file"), [("brainer", "password"), ("postgres", "superuser_password")]
    )
    def test_the_former_generated_passwords_are_refused(
        self, host: Host, user: str, file: str
    ) -> None:
        former = host.file(f"/root/former/{file}").content_string.strip()
        assert len(former) >= 24
        assert "password authentication failed" in login(host, user, former)

    def test_the_password_of_the_first_start_opens_nothing(self, host: Host) -> None:
        bootstrap = host.file(f"{SECRETS}/bootstrap_password").content_string.strip()
        assert "password authentication failed" in login(
            host, "postgres", bootstrap, database="postgres"
        )

    def test_without_a_password_nobody_gets_in(self, host: Host) -> None:
        assert "no password supplied" in login(host, "brainer", "")

    def test_even_inside_the_container_tcp_asks_for_a_password(self, host: Host) -> None:
        result = host.run(
            "docker exec brainer-postgres psql -h 127.0.0.1 -U postgres -w -c 'SELECT 1'"
        )
        assert result.rc != 0 and "no password supplied" in result.stderr

    def test_passwords_are_kept_as_scram(self, host: Host) -> None:
        kept = superuser(host, "SELECT rolpassword FROM pg_authid WHERE rolcanlogin")
        assert len(kept) == 2 and all(row[0].startswith("SCRAM-SHA-256$") for row in kept)


class TestExposure:
    def test_the_port_is_closed_from_outside_the_vps(self, host: Host) -> None:
        address = host.check_output("ip -4 -oneline address show eth0").split()[3].split("/")[0]
        with socket.create_connection((address, 22), timeout=5):
            pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, 5432), timeout=5)

    def test_only_loopback_listens(self, host: Host) -> None:
        assert host.socket("tcp://127.0.0.1:5432").is_listening
        assert not host.socket("tcp://0.0.0.0:5432").is_listening
        assert not host.socket("tcp://:::5432").is_listening

    def test_the_network_is_one_that_compose_adopts(self, host: Host) -> None:
        labels = json.loads(host.check_output("docker network inspect brainer_default"))[0][
            "Labels"
        ]
        assert labels == {
            "com.docker.compose.project": "brainer",
            "com.docker.compose.network": "default",
        }


class TestRole:
    def test_it_owns_its_database_and_is_not_superuser(self, host: Host) -> None:
        query = "SELECT pg_get_userbyid(datdba), rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
        query += " FROM pg_database, pg_roles WHERE datname = 'brainer' AND rolname = 'brainer'"
        assert app(host, query) == [["brainer", False, False, False, False, False]]

    def test_it_may_make_tables(self, host: Host) -> None:
        assert app(host, "CREATE TABLE made (id int); DROP TABLE made") == []

    def test_it_may_not_read_the_servers_files(self, host: Host) -> None:
        assert "permission denied" in app(host, "SELECT pg_read_file('/etc/passwd')")

    def test_another_role_may_not_connect(self, host: Host) -> None:
        superuser(
            host, "DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN PASSWORD 'stranger'"
        )
        assert "permission denied for database" in login(host, "stranger", "stranger")
        superuser(host, "DROP ROLE stranger")


class TestServer:
    def test_checksums_encoding_and_sqlites_order_of_text(self, host: Host) -> None:
        query = "SELECT current_setting('data_checksums'), current_setting('server_encoding'), datlocprovider::text,"
        query += " datlocale FROM pg_database WHERE datname = 'brainer'"
        assert app(host, query) == [["on", "UTF8", "b", "C.UTF-8"]]
        ordered = app(host, "SELECT t FROM unnest('{b,B,a,é,Z}'::text[]) t ORDER BY t")
        assert [row[0] for row in ordered] == ["B", "Z", "a", "b", "é"]

    def test_settings(self, host: Host) -> None:
        wanted = {
            "shared_buffers": "64MB",
            "max_connections": "60",
            "password_encryption": "scram-sha-256",
            "port": "5432",
            "shared_preload_libraries": "",
        }
        assert {name: superuser(host, f"SHOW {name}")[0][0] for name in wanted} == wanted

    def test_nothing_waits_for_a_restart(self, host: Host) -> None:
        assert superuser(host, "SELECT name FROM pg_settings WHERE pending_restart") == []
        assert superuser(host, "SELECT * FROM pg_file_settings WHERE error IS NOT NULL") == []

    def test_data_is_in_the_named_volume(self, host: Host, container: dict[str, Any]) -> None:
        volumes = {
            mount["Destination"]: mount["Name"]
            for mount in container["Mounts"]
            if mount["Type"] == "volume"
        }
        assert volumes == {"/var/lib/postgresql/data": "brainer-postgres-data"}
        where = host.check_output(
            "docker volume inspect -f '{{.Mountpoint}}' brainer-postgres-data"
        )
        assert host.file(f"{where}/PG_VERSION").content_string == "17\n"

    def test_limits_and_rights(self, container: dict[str, Any]) -> None:
        limits = container["HostConfig"]
        assert limits["Memory"] == 768 * 2**20
        assert limits["ShmSize"] == 128 * 2**20
        assert limits["RestartPolicy"]["Name"] == "unless-stopped"
        assert limits["CapDrop"] == ["ALL"]
        added = {name.removeprefix("CAP_") for name in limits["CapAdd"]}
        assert added == {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
        assert limits["SecurityOpt"] == ["no-new-privileges"]
        assert limits["LogConfig"] == {
            "Type": "json-file",
            "Config": {"max-size": "10m", "max-file": "3"},
        }
        assert container["Config"]["StopTimeout"] == 60

    def test_health_is_asked_over_tcp(self, container: dict[str, Any]) -> None:
        assert container["State"]["Health"]["Status"] == "healthy"
        assert "127.0.0.1" in container["Config"]["Healthcheck"]["Test"]


class TestSecrets:
    def test_only_root_reads_them(self, host: Host) -> None:
        assert host.file(SECRETS).mode == 0o700
        names = host.check_output("ls %s", SECRETS).split()
        assert names == [
            "bootstrap_password",
            "password",
            "pgpass",
            "superuser_password",
            "superuser_pgpass",
        ]
        for name in names:
            file = host.file(f"{SECRETS}/{name}")
            assert (file.mode, file.user, file.group) == (0o600, "root", "root")

    def test_no_log_no_environment_and_no_settings_file_has_one(self, host: Host) -> None:
        for password in PASSWORDS.values():
            for place in (
                "docker logs brainer-postgres 2>&1",
                "docker inspect brainer-postgres",
                "cat /proc/$(docker inspect -f '{{.State.Pid}}' brainer-postgres)/environ",
                "journalctl --no-pager | grep -v sudo",  # which records the tests' own commands
                "cat -- /opt/brainer-db/postgres/etc/*.conf /opt/brainer-db/postgres/etc/conf.d/*",
            ):
                # up to what SQL or JSON would write differently
                assert re.split(r"['\"\\]", password)[0] not in host.check_output(place), place

    def test_the_log_did_record_statements(self, host: Host) -> None:
        """Or the test above proved nothing: log_statement is all."""
        assert "CREATE ROLE" in host.check_output("docker logs brainer-postgres 2>&1")


class TestLife:
    def test_a_check_run_has_nothing_to_change(self) -> None:
        settings = {"max_connections": 60, "shared_buffers": "64MB", "log_statement": "all"}
        command = ["ansible-playbook", "--check", str(SCENARIO / "converge.yml")]
        command += ["--inventory", os.environ["MOLECULE_INVENTORY_FILE"]]
        command += ["--extra-vars", json.dumps({"postgres_settings": settings})]
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
        assert "changed=0" in run.stdout, run.stdout

    def test_it_stops_cleanly_and_comes_back_with_its_data(self, host: Host) -> None:
        app(host, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
        host.check_output("docker stop brainer-postgres")
        assert host.check_output("docker inspect -f '{{.State.ExitCode}}' brainer-postgres") == "0"
        assert "database system is shut down" in host.check_output(
            "docker logs --tail 3 brainer-postgres 2>&1"
        )
        host.check_output("docker start brainer-postgres")
        healthy = (
            "until docker exec brainer-postgres pg_isready -q -h 127.0.0.1; do sleep 0.1; done"
        )
        host.check_output(f"timeout 30 sh -c '{healthy}'")
        assert app(host, "SELECT answer FROM kept") == [[42]]
        assert app(host, "DROP TABLE kept") == []
