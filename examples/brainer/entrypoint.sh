#!/bin/sh
# Root only long enough to own ./data, then the app's own account. Docker creates a missing bind
# mount as root, and a file put back from a backup is often root's: SQLite must be able to write
# the file and, beside it, its journal.
set -eu
if [ "$(id -u)" = 0 ]; then
    mkdir -p /app/data
    find /app/data ! -user brainer -exec chown brainer:brainer {} +
    exec setpriv --reuid=brainer --regid=brainer --init-groups "$0" "$@"
fi
exec "$@"
