#!/bin/sh
# Start the app and wait until it answers. `docker compose up --wait` waits for its health check, which first looks after
# five seconds; it answers after two.
set -eu
docker compose --project-directory /opt/brainer up --detach
for _ in $(seq 300); do
    ! curl -sf http://127.0.0.1:8000/health >/dev/null || exit 0
    sleep 0.2
done
echo 'the app does not answer' >&2
exit 1
