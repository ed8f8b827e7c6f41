#!/usr/bin/env bash
# Load with faults for hours: does anything grow? Clients write, log in and log out while services are
# killed, RabbitMQ is stopped and killed, and networks are cut. Memory, threads, open files, disk, queues
# and the times of all calls in the last quarter of the time are compared with those of the first one.
# Needs root (it mounts a small tmpfs) and rabbitmq-server, and a machine that does nothing else.
#
#   scripts/soak.sh --hours 8
#   scripts/soak.sh --hours 0.1
#
# Ends non-zero if a write was lost, or a figure has passed its bound (marked with !). What the bounds
# are and why: standalone/tests/faults/soak.rs.
set -euo pipefail
cd "$(dirname "$0")/.."

[[ $# == 2 && $1 == --hours && $2 =~ ^[0-9]+(\.[0-9]+)?$ ]] || { echo "usage: $0 --hours N" >&2 && exit 2; }
seconds=$(awk -v hours="$2" 'BEGIN { printf "%.0f", hours * 3600 }')
((seconds >= 120)) || { echo '--hours needs at least 0.034: each quarter has several faults' >&2 && exit 2; }

# With the tests' features, as scripts/chaos.sh: nothing is built twice.
cargo build --workspace --all-targets --locked
SOAK_SECONDS=$seconds exec cargo test --workspace --locked --test faults -- \
  soak::soak --exact --ignored --nocapture --test-threads 1
