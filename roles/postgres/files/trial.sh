# Runs in the image, with the settings to try: an empty cluster in memory, one start, one stop.
set -euo pipefail
initdb --no-sync --no-instructions --auth=reject --encoding=UTF8 --locale=C.UTF-8 >/dev/null
# The settings are on the command's right, so the last word here makes the server talk to us and not to a file.
pg_ctl -w -s start -o "-c config_file=/etc/postgresql/postgresql.conf -c logging_collector=off"
pg_ctl -w -s -m immediate stop
