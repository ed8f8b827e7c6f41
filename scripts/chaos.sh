#!/usr/bin/env bash
# Random faults under load, for as long as one likes: kills, broker faults, network faults, lost and
# restored files, full disks, crashes at every step. Needs root (it mounts a small tmpfs) and
# rabbitmq-server. The seed repeats the order of the faults, not the moments of the machine.
#
#   scripts/chaos.sh --rounds 200 --seed 1
#
# Last line: "N passed, N failed"; ends non-zero if any failed.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=20 seed=$RANDOM
while (($# > 0)); do
  case $1 in
    --rounds) rounds=${2:?--rounds needs a number} && shift 2 ;;
    --seed) seed=${2:?--seed needs a number} && shift 2 ;;
    *)
      echo "usage: $0 [--rounds N] [--seed S]" >&2
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
  cargo test --workspace --locked --test faults -- chaos::chaos --exact --nocapture --test-threads 1 |
  tee "$log" || status=$?
grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" || { echo '0 passed, 1 failed' && status=1; }
exit "$status"
