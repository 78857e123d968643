#!/bin/sh
# Jobs of others: in root's crontab, in another user's, and in a file beside ours.
set -eu
crontab - <<'CRON'
# a comment of the operator
MAILTO=operator@example.com
*/5 * * * * /usr/local/bin/renew --quiet # trailing words, and 100%%
@reboot echo "quotes 'and' all"
CRON
printf '0 3 * * * true\n' | crontab -u deploy -
printf '7 7 * * * root /bin/true\n' >/etc/cron.d/theirs
mkdir /root/alarms/before
cp -a /etc/cron.d /etc/crontab /root/alarms/before/
crontab -l >/root/alarms/before/root
crontab -u deploy -l >/root/alarms/before/deploy
