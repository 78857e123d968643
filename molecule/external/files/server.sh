#!/bin/bash
# server.sh: a PostgreSQL that isn't the project's at 10.99.0.1:5433, TLS only, with a CA of its own. The role's password is the first of words.
set -euo pipefail
cd /root/outside
mkdir tls
# an address that containers reach, too, and that is the same on each test bed
ip address add 10.99.0.1/32 dev lo

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '/CN=A CA of its own' \
    -keyout ca.key -out ca.pem 2>/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '/CN=Somebody else' \
    -keyout other.key -out other.pem 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=db' -keyout tls/server.key -out server.csr 2>/dev/null
./certificate.sh 30

cat >tls/pg_hba.conf <<'CONF'
local all postgres trust
hostssl all all all scram-sha-256
CONF
chown -R 999:999 tls
chmod 0600 tls/server.key
docker run --detach --name outside --network host --restart unless-stopped --volume /root/outside/tls:/tls:ro \
    --env POSTGRES_PASSWORD="$(openssl rand -hex 8)" postgres:17-trixie postgres -c port=5433 \
    -c listen_addresses=10.99.0.1 -c ssl=on -c ssl_cert_file=/tls/server.pem -c ssl_key_file=/tls/server.key \
    -c hba_file=/tls/pg_hba.conf >/dev/null
until docker exec outside pg_isready -q -h 10.99.0.1 -p 5433; do sleep 0.3; done
PASSWORD=$(head -n 1 words) docker exec -i -e PASSWORD outside psql -U postgres -p 5433 -qX -v ON_ERROR_STOP=1 <<'SQL'
\getenv password PASSWORD
CREATE ROLE brainer LOGIN PASSWORD :'password';
CREATE DATABASE brainer OWNER brainer;
CREATE DATABASE latin OWNER brainer ENCODING LATIN1 LOCALE 'C' TEMPLATE template0;
CREATE DATABASE empty OWNER brainer;
CREATE DATABASE foreign_one OWNER postgres;
SQL
touch done
