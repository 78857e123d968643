"""With backup_pitr: a moment between two rows comes back, by the playbook; a second run changes nothing."""

from __future__ import annotations

import time

from controller import play
from testinfra.host import Host

PITR = ("-e", "backup_pitr=true", "-e", "backup_state=present")
#: The rest of the server is as it was.
ONLY = ("--tags", "backup,postgres")


def psql(host: Host, statement: str) -> str:
    return host.check_output(
        "docker exec brainer-postgres psql -XAtq -U brainer -d brainer -c %s", statement
    ).strip()


def insert(host: Host, number: int) -> str:
    psql(host, f"INSERT INTO moments VALUES ({number})")
    time.sleep(1)
    moment = psql(host, "SELECT clock_timestamp() AT TIME ZONE 'UTC'")
    time.sleep(1)
    return moment


def test_a_moment(host: Host) -> None:
    psql(host, "DROP TABLE IF EXISTS moments; CREATE TABLE moments (id int)")
    assert play("site.yml", *ONLY, *PITR).rc == 0
    assert host.service("brainer-wal").is_running and host.service("brainer-wal").is_enabled
    assert psql(host, "SHOW max_slot_wal_keep_size") == "1GB"
    assert play("site.yml", *ONLY, *PITR).changed == 0
    wanted = insert(host, 1)
    # the receiver comes back by itself
    host.check_output("docker restart brainer-postgres")
    again = "until docker exec brainer-postgres psql -XAtq -U postgres -c"
    again += " 'SELECT active FROM pg_replication_slots' | grep -q t; do sleep 0.5; done"
    host.check_output("timeout 60 sh -c %s", again)
    insert(host, 2)
    psql(host, "DELETE FROM moments")
    # as a shell passes restore_from="DAY TIME" on: the time would be lost
    half = play("restore.yml", *PITR, "-e", f"restore_from={wanted}", "-e", "backup_replace=true")
    assert half.rc == 2 and half.changed == 0 and "with a T" in half.failure, half.output
    moment = wanted.replace(" ", "T")
    run = play("restore.yml", *PITR, "-e", f"restore_from={moment}", "-e", "backup_replace=true")
    assert run.rc == 0, run.failure
    assert psql(host, "SELECT id FROM moments") == "1"
    status = host.run("db_backup status")
    assert "every moment since" in status.stdout, status.stdout
    archive = host.file("/opt/brainer/backups-wal")
    assert (archive.mode, archive.user) == (0o700, "root")


def test_without_it_nothing_is_kept_for_nobody(host: Host) -> None:
    assert play("site.yml", *ONLY).rc == 0
    assert not host.file("/etc/systemd/system/brainer-wal.service").exists
    slots = "docker exec brainer-postgres psql -XAtq -U postgres -c 'SELECT * FROM pg_replication_slots'"
    assert host.check_output(slots) == ""
