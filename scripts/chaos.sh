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
# Last line: "N passed, N failed"; ends non-zero if any failed.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=20 seed=$RANDOM test=chaos::chaos
while (($# > 0)); do
  case $1 in
    --rounds) rounds=${2:?--rounds needs a number} && shift 2 ;;
    --seed) seed=${2:?--seed needs a number} && shift 2 ;;
    --replicas)
      case ${2:-} in
        1) test=chaos::chaos ;;
        3) test=replicas::chaos ;;
        *) echo '--replicas needs 1 or 3' >&2 && exit 2 ;;
      esac
      shift 2
      ;;
    *)
      echo "usage: $0 [--replicas 1|3] [--rounds N] [--seed S]" >&2
      exit 2
      ;;
  esac
done

# With the tests' features: the services' binaries contain their fail points.
cargo build --workspace --all-targets --locked
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
CHAOS_ROUNDS=$rounds CHAOS_SEED=$seed \
  cargo test --workspace --locked --test faults -- "$test" --exact --nocapture --test-threads 1 |
  tee "$log" || status=$?
grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" || { echo '0 passed, 1 failed' && status=1; }
exit "$status"
