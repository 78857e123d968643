#!/bin/bash
# certificate.sh DAYS: the server's certificate, from now on so many days; with 0 it has expired.
set -euo pipefail
cd /root/outside
ends=$(date -u -d "$1 days -1 minute" +%Y%m%d%H%M%SZ)
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -not_before 20200101000000Z -not_after "$ends" \
    -extfile <(echo 'subjectAltName = IP:10.99.0.1') -out tls/server.pem 2>/dev/null
if docker inspect outside >/dev/null 2>&1; then docker exec outside psql -U postgres -p 5433 -qXc 'SELECT pg_reload_conf()' >/dev/null; fi
