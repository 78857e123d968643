"""What an operator, a monitor and Prometheus are told; a server that is down; and nothing left when it is removed."""

from __future__ import annotations

import json
import re

from controller import ROOT, SCRATCH, Run, play
from testinfra.host import Host

OURS = "/opt/brainer-db/monitoring"
VENV = "/opt/brainer-db/toolkit/venv"
ASK = "import psycopg, sys; print(psycopg.connect(sys.argv[1]).execute(sys.argv[2]).fetchall())"
READY = (
    "for i in $(seq 100); do docker exec brainer-postgres pg_isready -q -h 127.0.0.1 && exit;"
    " sleep 0.2; done; exit 1"
)
PAGE = SCRATCH / "reports" / "brainer-monitoring" / "status.html"
FILES = ROOT / "roles" / "monitoring" / "files"


def status(*words: str) -> Run:
    run = play("status.yml", "-e", f"monitoring_reports={PAGE.parent.parent}", *words)
    assert run.changed == 0, "looking changes nothing"
    return run


def psql(host: Host, statement: str, database: str = "brainer", user: str = "postgres") -> str:
    return host.check_output(
        "docker exec -i brainer-postgres psql -X -v ON_ERROR_STOP=1 -U %s -d %s -Atc %s",
        user, database, statement,
    ).strip()  # fmt: skip


def report(host: Host) -> dict[str, object]:
    found: dict[str, object] = json.loads(host.run("db_status report --json").stdout)
    return found


def levels(found: dict[str, object]) -> dict[str, str]:
    crossed = found["crossed"]
    assert isinstance(crossed, list)
    return {one["name"]: one["level"] for one in crossed}


class TestReport:
    def test_a_server_without_a_backup_is_critical(self, host: Host) -> None:
        run = status()
        assert run.rc == 2
        assert "backup: newest backup: there is none" in run.output
        assert "next: db_backup nightly" in run.output
        assert "there is none" in run.failure

    def test_with_one_all_is_fine(self, host: Host) -> None:
        host.check_output("db_backup nightly")
        # the timer's first turn may be minutes away
        host.check_output("systemctl start brainer-monitoring.service")
        psql(
            host,
            "CREATE TABLE IF NOT EXISTS courses AS SELECT g AS id FROM generate_series(1, 500) g",
            user="brainer",
        )
        PAGE.unlink(missing_ok=True)
        run = status()
        assert run.rc == 0, run.failure
        for title in ("SERVER", "TABLES", "SLOWEST STATEMENTS", "BACKUPS", "CONTAINERS"):
            assert title in run.output
        assert re.search(r"brainer-postgres +healthy", run.output)
        page = PAGE.read_text(encoding="utf-8")
        assert "<h1 class=good>Fine" in page and "Connections" in page and "<svg" in page
        assert PAGE.stat().st_mode & 0o777 == 0o600

    def test_for_a_monitor(self, host: Host) -> None:
        run = status("--tags", "check")
        assert run.rc == 0 and "FINE" in run.output
        assert "TABLES" not in run.output and "drill: no backup was ever tried" in run.output

    def test_the_role_may_look_and_no_more(self, host: Host) -> None:
        """Over TCP, with the password that only root can read."""
        assert host.file(OURS).mode == 0o700
        assert {
            host.file(f"{OURS}/{name}").mode
            for name in ("config.json", "pgpass", "password", "history.db")
        } == {0o600}
        url = json.loads(host.file(f"{OURS}/config.json").content_string)["url"]

        def ask(statement: str) -> str:
            done = host.run(f"{VENV}/bin/python -c %s %s %s", ASK, url, statement)
            return str(done.stdout + done.stderr)

        groups = (
            "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = current_user::regrole"
        )
        assert "[('pg_monitor',)]" in ask(groups)
        assert "permission denied" in ask("SELECT count(*) FROM courses")
        assert "read-only" in ask("CREATE TEMP TABLE x (a int)")

    def test_no_password_among_the_statements(self, host: Host) -> None:
        """Members of pg_monitor read them all; the server keeps utility statements as they were written."""
        assert int(psql(host, "SELECT count(*) FROM pg_stat_statements", "postgres")) > 5, (
            "it counts"
        )
        kept = psql(
            host, "SELECT query FROM pg_stat_statements WHERE query ~* 'password|scram'", "postgres"
        )
        secrets = host.check_output(
            "cat /opt/brainer-db/postgres/secrets/password /opt/brainer-db/postgres/secrets/superuser_password"
        ).split()
        assert len(secrets) == 2 and not [secret for secret in secrets if secret in kept], kept
        assert "SCRAM-SHA" not in kept


class TestSampler:
    def test_the_timer_runs_it(self, host: Host) -> None:
        assert "brainer-monitoring.timer" in host.check_output("systemctl list-timers --no-pager")
        before = report(host)["samples"]
        host.check_output("systemctl start brainer-monitoring.service")
        assert report(host)["samples"] == int(str(before)) + 1
        metrics = host.file("/var/lib/node_exporter/db_status.prom")
        assert metrics.mode == 0o644 and "db_status_server_up 1" in metrics.content_string
        assert 'db_status_migration{state="none"} 1' in metrics.content_string

    def test_an_oom_kill_is_seen(self, host: Host) -> None:
        """A process beside the server takes more than the container may have; the container itself lives on."""
        assert "out of memory" not in levels(report(host))
        killed = host.run(
            "docker exec brainer-postgres sh -c 'head -c 2G /dev/zero | tail >/dev/null'"
        )
        assert killed.rc == 137, killed.stderr
        found = report(host)
        assert found["exit_code"] == 3 and levels(found)["out of memory"] == "critical"
        run = status("--tags", "check")
        assert run.rc == 2 and "the kernel killed 1 processes in brainer-postgres" in run.output


class TestPrometheus:
    def test_only_loopback_hears_the_exporter(self, host: Host) -> None:
        sockets = host.check_output("ss -Hltn sport = :9187").split()
        assert (
            "127.0.0.1:9187" in sockets
            and len(host.check_output("ss -Hltn sport = :9187").splitlines()) == 1
        )

    def test_rules_and_dashboard_name_what_there_is(self, host: Host) -> None:
        exposed = host.check_output("curl -fsS http://127.0.0.1:9187/metrics")
        assert re.search(r"^pg_up 1$", exposed, re.MULTILINE), "it is let in"
        exposed += host.check_output("cat /var/lib/node_exporter/*.prom")
        names = set(re.findall(r"^(\w+)", exposed, re.MULTILINE))
        # there is no drill in this scenario; the scenario of the backups has it
        names.add("db_backup_drill_timestamp_seconds")
        dashboard = json.loads((FILES / "dashboard.json").read_text(encoding="utf-8"))
        used = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        assert len(used) >= 15
        used += re.findall(r"expr: (.*)", (FILES / "alerts.yml").read_text(encoding="utf-8"))
        wanted = {
            name
            for expression in used
            for name in re.findall(r"\b(?:pg|db_status|db_backup)_\w+", expression)
        }
        assert len(wanted) > 20 and wanted <= names, wanted - names

    def test_promtool(self, host: Host) -> None:
        """Debian's own, without the server: rules that are right, ring when they should, and expressions that parse."""
        host.check_output(
            "mkdir -p /root/promtool && cd /root/promtool && (ls *.deb || apt-get download -q promtool)"
            " && dpkg -x promtool_*.deb . && chmod 755 ."
        )
        dashboard = json.loads((FILES / "dashboard.json").read_text(encoding="utf-8"))
        expressions = [
            target["expr"].replace("$instance", ".*")
            for panel in dashboard["panels"]
            for target in panel["targets"]
        ]
        rules = [
            {"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions)
        ]
        texts = {
            name: (FILES / name).read_text(encoding="utf-8")
            for name in ("alerts.yml", "alerts_test.yml")
        }
        texts["panels.yml"] = json.dumps({"groups": [{"name": "panels", "rules": rules}]})
        for name, text in texts.items():
            host.check_output(f"cat >/root/promtool/{name} <<'END OF FILE'\n{text}\nEND OF FILE")
        promtool = "cd /root/promtool && usr/bin/promtool"
        assert "12 rules found" in host.check_output(f"{promtool} check rules alerts.yml")
        assert f"{len(rules)} rules found" in host.check_output(
            f"{promtool} check rules panels.yml"
        )
        host.check_output(f"{promtool} test rules alerts_test.yml")


class TestTrouble:
    def test_the_server_is_down(self, host: Host) -> None:
        host.check_output("docker stop brainer-postgres")
        try:
            run = status()
            assert run.rc == 2
            assert (
                "server: it does not answer" in run.output
                and "docker start brainer-postgres" in run.output
            )
            assert "DISKS AND MEMORY" in run.output and "BACKUPS" in run.output
            assert "does not answer" in PAGE.read_text(encoding="utf-8")
            assert host.run("systemctl start brainer-monitoring.service").rc == 0
            journal = host.check_output("journalctl -t db_status --no-pager")
            assert "the server does not answer" in journal and "sampled in" not in journal
            assert (
                "db_status_server_up 0"
                in host.file("/var/lib/node_exporter/db_status.prom").content_string
            )
        finally:
            host.check_output("docker start brainer-postgres")
            host.check_output(READY)
        assert "server" not in levels(report(host))
        troubles = host.check_output("db_status history")
        assert "the server did not answer" in troubles
        assert "container brainer-postgres did not serve: exited" in troubles

    def test_the_program_is_gone(self, host: Host) -> None:
        host.check_output("mv /usr/local/bin/db_status /root/")
        try:
            run = status("--tags", "check")
        finally:
            host.check_output("mv /root/db_status /usr/local/bin/")
        assert run.rc == 2 and "playbooks/site.yml" in run.failure

    def test_a_password_that_somebody_changed(self, host: Host) -> None:
        """Then nothing of the database is seen, and it is said; site.yml mends it, for the exporter, too."""
        psql(host, "ALTER ROLE monitoring PASSWORD 'by hand'")
        run = status("--tags", "check")
        assert run.rc == 2 and "password authentication failed" in run.output
        assert play("site.yml", "--tags", "monitoring").rc == 0
        assert status("--tags", "check").rc in (0, 2)
        assert report(host)["unseen"] == []
        kept = psql(
            host, "SELECT count(*) FROM pg_stat_statements WHERE query ~ 'by hand'", "postgres"
        )
        assert kept == "0", "what was typed is forgotten"

    def test_no_secret_in_the_journal_or_a_process(self, host: Host) -> None:
        secret = host.file(f"{OURS}/password").content_string.strip()
        assert len(secret) > 20
        assert secret not in host.check_output("journalctl --no-pager --quiet")
        assert (
            host.run(f"grep -aqFf {OURS}/password /proc/[0-9]*/environ /proc/[0-9]*/cmdline").rc
            != 0
        )


class TestSchedule:
    def test_cron_instead(self, host: Host) -> None:
        run = play("site.yml", "--tags", "monitoring", "-e", "monitoring_scheduler=cron")
        assert run.rc == 0, run.failure
        assert host.check_output("find /etc/systemd -name 'brainer-monitoring*'") == ""
        (job,) = [
            line
            for line in host.file("/etc/cron.d/brainer-monitoring").content_string.splitlines()
            if "db_status sample" in line
        ]
        assert job.startswith("*/5 * * * * root ") and "%" not in job
        before = int(str(report(host)["samples"]))
        command = job.split(None, 6)[6]
        host.check_output(
            "cd / && env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin setsid --wait /bin/sh -c %s </dev/null",
            command,
        )
        assert report(host)["samples"] == before + 1

    def test_removed(self, host: Host) -> None:
        words = ("site.yml", "--tags", "monitoring", "-e", "monitoring_state=absent")
        run = play(*words)
        assert run.rc == 0, run.failure
        assert not host.file(OURS).exists and not host.file("/etc/cron.d/brainer-monitoring").exists
        assert psql(host, "SELECT count(*) FROM pg_roles WHERE rolname = 'monitoring'") == "0"
        assert (
            psql(host, "SELECT count(*) FROM pg_extension WHERE extname ~ 'statements'", "postgres")
            == "0"
        )
        assert host.check_output("ss -Hltn sport = :9187") == ""
        assert psql(host, "SELECT count(*) FROM courses") == "500", "the database is as it was"
        again = play(*words)
        assert (again.rc, again.changed) == (0, 0)
