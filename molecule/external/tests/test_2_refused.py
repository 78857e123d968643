"""What can't work is refused before anything is changed, with the cause and what to do."""

import json

import pytest
from controller import SCRATCH, play, slow
from outside import on
from testinfra.host import Host

PLACE = "postgresql://brainer@10.99.0.1:5433/{}?sslmode=verify-full"

CASES: dict[str, tuple[dict[str, object], str, str]] = {
    "the password": (
        {"postgres_password": "not-the-1"},
        "the password is wrong",
        "correct postgres_password",
    ),
    "the host": (
        {"postgres_external_url": "postgresql://brainer@10.99.0.1:5434/brainer"},
        "nothing listens there",
        "correct host and port",
    ),
    "the CA": (
        {"postgres_external_ca": str(SCRATCH / "other.pem")},
        "its certificate: unable to get local issuer certificate",
        "put the certificate",
    ),
    "the app's mount": (
        {"postgres_external_app_ca": {"host": "/opt/brainer/ca.pem", "container": "/app/ca.pem"}},
        "from the app's container: it does not see /opt/brainer/ca.pem as /app/ca.pem",
        "a place that the app's compose file mounts",
    ),
    "the encoding": (
        {"postgres_external_url": PLACE.format("latin")},
        "encoding is LATIN1",
        "ENCODING 'UTF8'",
    ),
    "a right": (
        {"postgres_external_url": PLACE.format("foreign_one")},
        "may not create what is needed",
        'GRANT CREATE ON DATABASE "foreign_one" TO "brainer";',
    ),
    "the database": (
        {"postgres_external_url": PLACE.format("nowhere")},
        "the database is not there",
        "CREATE DATABASE nowhere",
    ),
}


def refused(words: dict[str, object], what: str, advice: str) -> None:
    done = play("migrate.yml", "--tags", "preflight", "-e", json.dumps(words))
    assert done.rc != 0 and done.changed == 0
    assert what in done.failure
    assert advice in done.failure
    assert "Nothing was changed" in done.failure


EACH_DAY = ("the password", "a right")


@pytest.mark.parametrize(
    "words, what, advice",
    [
        pytest.param(*case, id=name, marks=() if name in EACH_DAY else slow)
        for name, case in CASES.items()
    ],
)
def test_is_refused(host: Host, words: dict[str, object], what: str, advice: str) -> None:
    refused(words, what, advice)


def test_an_expired_certificate_is_refused(host: Host) -> None:
    host.check_output("/root/outside/certificate.sh 0")
    try:
        refused({}, "its certificate: certificate has expired", "have it renewed")
    finally:
        host.check_output("/root/outside/certificate.sh 30")


def test_an_app_is_not_sent_to_a_server_without_its_data(host: Host) -> None:
    words = json.dumps({"postgres_external_url": PLACE.format("empty")})
    done = play("site.yml", "-e", words, "--skip-tags", "docker,toolkit,backup,monitoring")
    assert done.rc != 0 and "its data is not on that one" in done.failure


def test_the_app_noticed_nothing(host: Host) -> None:
    on(host, "postgresql")
