#!/usr/bin/env bash
# Random faults under load, for as long as one likes: kills, broker faults, network faults, lost and
# restored files, full disks, crashes at every step. Needs root (it mounts a small tmpfs) and
# rabbitmq-server. The seed repeats the order of the faults, not the moments of the machine.
#
#   scripts/chaos.sh --rounds 200 --seed 1
#
# With --replicas 3 sessions begin, go on and end at three auth_services while faults happen to them:
#
#   scripts/chaos.sh --replicas 3 --rounds 100
#
# With --engine postgres two user_services have their users in PostgreSQL, one of them through PgBouncer:
# standbys take over, with everything and with less, and nodes of RabbitMQ die. It needs postgresql,
# pgbouncer and openssl as well:
#
#   scripts/chaos.sh --engine postgres --users-replicas 2 --replicas 3 --brokers 3 --rounds 40
#
# Last line: "N passed, N failed"; ends non-zero if any failed.
set -euo pipefail
cd "$(dirname "$0")/.."

usage="usage: $0 [--engine sqlite|postgres] [--users-replicas 1|2] [--replicas 1|3] [--brokers 1|3] [--rounds N] [--seed S]"
refuse() { echo "$1" >&2 && exit 2; }
rounds=20 seed=$RANDOM engine=sqlite users='' replicas=1 brokers=1
while (($# > 0)); do
  case $1 in
    --rounds) rounds=${2:?--rounds needs a number} ;;
    --seed) seed=${2:?--seed needs a number} ;;
    --engine) engine=${2:-} ;;
    --users-replicas) users=${2:-} ;;
    --replicas) replicas=${2:-} ;;
    --brokers) brokers=${2:-} ;;
    *) refuse "$usage" ;;
  esac
  shift 2
done
[[ $replicas == [13] ]] || refuse '--replicas needs 1 or 3'
[[ $brokers == [13] ]] || refuse '--brokers needs 1 or 3'
case $engine in
  sqlite)
    [[ ${users:-1} == 1 && $brokers == 1 ]] || refuse 'several user_services or brokers need --engine postgres'
    test=chaos::chaos
    if ((replicas == 3)); then test=replicas::chaos; fi
    ;;
  postgres)
    [[ ${users:-2} == 2 ]] || refuse '--engine postgres runs 2 user_services'
    test=scaled::chaos
    ;;
  *) refuse '--engine needs sqlite or postgres' ;;
esac

# With the tests' features: the services' binaries contain their fail points.
cargo build --workspace --all-targets --locked
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
CHAOS_ROUNDS=$rounds CHAOS_SEED=$seed CHAOS_REPLICAS=$replicas CHAOS_BROKERS=$brokers \
  cargo test --workspace --locked --test faults -- "$test" --exact --nocapture --test-threads 1 |
  tee "$log" || status=$?
grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" || { echo '0 passed, 1 failed' && status=1; }
exit "$status"
