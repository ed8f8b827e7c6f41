#!/usr/bin/env bash
# What docs/scaling.md counts with: bytes of a user and of a record of the log, and how
# many writes a second PostgreSQL takes in groups as user_service makes them, by pgbench. It starts a
# private server on a free port, needs postgresql (scripts/install.sh postgresql) and python3, and takes
# about two minutes.
#
#   scripts/scaling.sh [USERS]
set -euo pipefail
cd "$(dirname "$0")/.."

users=${1:-1000000} port=$((20000 + RANDOM % 10000)) seconds=8 group=64
programs=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -n 1)
work=$(mktemp -d)
chmod 755 "$work"
# PostgreSQL refuses to run as root.
as_server=()
if ((EUID == 0)); then
  chown postgres "$work"
  as_server=(setpriv --reuid postgres --regid postgres --clear-groups)
fi
in_server() { "${as_server[@]}" "$@"; }
stop() {
  in_server "$programs/pg_ctl" -D "$work/data" -m immediate stop >/dev/null || true
  rm -rf "$work"
}
trap stop EXIT
in_server "$programs/initdb" -D "$work/data" -U lockstep -A trust -E UTF8 --locale C.UTF-8 >/dev/null
in_server "$programs/pg_ctl" -D "$work/data" -l "$work/log" -w start >/dev/null \
  -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c shared_buffers=256MB -c max_wal_size=4GB"
at=(-h 127.0.0.1 -p "$port" -U lockstep -d postgres)
sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 "${at[@]}" "$@"; }

for migration in user_service/migrations/postgres/*.sql; do sql -f "$migration"; done
# Texts as long as real ones: a name of 10 letters, a hash in PHC form, the state in the event.
# shellcheck disable=SC2016 # the dollar signs belong to the form
hash='$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
data='{"id":100000,"user":{"username":"user100000","username_key":"user100000","version":1,"password_version":1,"stamp":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}'
sql <<SQL
INSERT INTO users SELECT i, 'user' || i, 'user' || i, '$hash', 1, 1,
    decode(repeat('00', 24), 'hex'), decode(repeat('00', 24), 'hex')
FROM generate_series(1, $users) AS i;
INSERT INTO user_log SELECT i, decode(md5(i::text), 'hex'), 1700000000000, 'user.created.v1', NULL, '$data', i, 1
FROM generate_series(1, $users) AS i;
VACUUM ANALYZE;
CREATE SEQUENCE records START $((users + 1));
SQL
echo "PostgreSQL $(sql -c 'SHOW server_version'), $users users"
sql -c "SELECT 'bytes of a user, with indexes: ' || pg_total_relation_size('users') / $users"
sql -c "SELECT 'bytes of a record of the log: ' || pg_total_relation_size('user_log') / $users"

# A group as user_service writes it: the log's lock, the end, what the changes are about, the users,
# the records, the new end, COMMIT.
cat >"$work/group.sql" <<SQL
\set first random(1, $((users - group)))
BEGIN;
SELECT pg_advisory_xact_lock(1);
SELECT * FROM log_state;
SELECT * FROM users WHERE id BETWEEN :first AND :first + $((group - 1));
UPDATE users SET version = version + 1 WHERE id BETWEEN :first AND :first + $((group - 1));
INSERT INTO user_log SELECT nextval('records'), decode(md5('x'), 'hex'), 1700000000000, 'user.renamed.v1', NULL, '$data', 1, 1
    FROM generate_series(1, $group);
UPDATE log_state SET highest_id = highest_id;
COMMIT;
SQL
chmod 644 "$work/group.sql"
for clients in 1 2 4; do
  tps=$("$programs/pgbench" -n -h 127.0.0.1 -p "$port" -U lockstep -M prepared -c "$clients" -j "$clients" -T "$seconds" \
    -f "$work/group.sql" postgres 2>/dev/null | awk '/^tps/ { print $3 }')
  awk -v tps="$tps" -v n="$clients" -v g="$group" \
    'BEGIN { printf "writes/s of %d writers in groups of %d: %d\n", n, g, tps * g }'
done
printf '%s\n' "\\set id random(1, $users)" 'SELECT * FROM users WHERE id = :id;' >"$work/read.sql"
chmod 644 "$work/read.sql"
"$programs/pgbench" -n -h 127.0.0.1 -p "$port" -U lockstep -M prepared -c 8 -j 2 -T "$seconds" -f "$work/read.sql" postgres \
  2>/dev/null | awk '/^tps/ { printf "reads/s by id over 8 connections: %d\n", $3 }'

# A user in auth_service's projection, of which each replica has one.
python3 - "$users" "$work/projection.db" <<'PYTHON'
import glob, os, sqlite3, sys
users, path = int(sys.argv[1]), sys.argv[2]
database = sqlite3.connect(path)
for migration in sorted(glob.glob("auth_service/migrations/projection/*.sql")):
    database.executescript(open(migration).read())
columns = {row[1]: row[2] for row in database.execute("PRAGMA table_info(credentials)")}
values = {"user_id": "i", "username": "'user' || i", "username_key": "'user' || i",
          "sealed_hash": "hex(zeroblob(85))", "stamp": "zeroblob(24)"}
chosen = [values.get(name, "1") for name in columns]
database.execute(f"""INSERT INTO credentials ({', '.join(columns)})
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {users})
    SELECT {', '.join(chosen)} FROM n""")
database.commit()
print("bytes of a user in a projection:", os.path.getsize(path) // users)
PYTHON
