#!/bin/sh
# What faults need: sources that are no good, a disk that is too small, and a copy of everything as it was.
set -eu
cd /root/faults
python3 sources.py sources
mkdir small
mount -t tmpfs -o size=256k tmpfs small
mkdir small/docker

mkdir before.part
cp -a /opt/brainer/.env before.part/env
cp -a /opt/brainer/docker-compose.yml before.part/
python3 ask.py >before.part/answers
docker compose --project-directory /opt/brainer stop
cp -a /opt/brainer/data/brainer.db before.part/
./up.sh
mv before.part before
