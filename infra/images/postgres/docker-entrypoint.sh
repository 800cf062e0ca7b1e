#!/usr/bin/env bash
# The part of the public image's entrypoint that is relied on: POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB, a
# first start on a Unix socket alone, and "ready to accept connections" twice in the log.
set -euo pipefail

if [ "${1:-postgres}" != postgres ] && [ "${1:0:1}" != - ]; then exec "$@"; fi
if [ "$(id -u)" = 0 ]; then
  install -d -m 700 -o postgres -g postgres "$PGDATA"
  exec gosu postgres "$0" "$@"
fi
[ "${1:-}" = postgres ] && shift

user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  read -ra options <<<"${POSTGRES_INITDB_ARGS:-}"
  initdb -D "$PGDATA" -U "$user" --pwfile=<(echo "$POSTGRES_PASSWORD") -A trust --no-sync "${options[@]}"
  echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
  # Only who knows the password may come in over the network, from this machine, too.
  sed -i -E 's/^(host .*(127\.0\.0\.1|::1)\S*\s+)trust/\1scram-sha-256/' "$PGDATA/pg_hba.conf"
  pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
  [ "$database" = postgres ] || psql -U "$user" -d postgres -c "CREATE DATABASE \"$database\""
  pg_ctl -D "$PGDATA" -m fast -w stop
  echo "PostgreSQL init process complete; ready for start up."
fi
exec postgres -c listen_addresses='*' "$@"
