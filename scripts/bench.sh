#!/usr/bin/env bash
# Measures Lockstep beside the floors of this machine, and prints one table of ratios; see
# docs/performance.md. Missing tools are installed first (as root, or through sudo).
#
#   scripts/bench.sh                  everything, in less than ten minutes on two cores
#   scripts/bench.sh --json           the same for machines
#   scripts/bench.sh --only reads     one group: memory, hashing, overload, latency, reads, writes, bus,
#                                    replicas, timing; and postgres, which takes minutes and is
#                                    measured only in this way
#   scripts/bench.sh --users 1000     with this number of users alone
#   scripts/bench.sh --gate           instruction counts of the hot paths beside the recorded ones
#   scripts/bench.sh --gate --record  records them
set -euo pipefail
cd "$(dirname "$0")/.."

# Settings that the caller may have for another system must not affect the measurement.
unset DATA_DIR "${!DATABASE_@}" HTTP_WORKERS SHUTDOWN_GRACE LOG LOG_FORMAT "${!AMQP_@}" "${!ARGON2_@}" "${!HASH_@}" \
  "${!SEALING_KEY@}" "${!USER_SERVICE_@}" "${!AUTH_@}" "${!TOKEN_@}" "${!KEY_@}" "${!SESSION_@}" "${!PASSWORD_@}" "${!LOG_@}" \
  "${!SYNC_@}" "${!LOGIN_@}" TRUSTED_PROXIES REQUIRE_IF_MATCH RUSTFLAGS

tools=(jq wrk rabbitmq-server)
# pgbench is in the same package.
[[ " $* " == *" postgres "* || " $* " == *"=postgres "* ]] && tools+=(postgresql)
command=ratios
if [[ ${1:-} == --gate ]]; then
  tools=(jq valgrind)
  command=gate
  shift
fi
scripts/install.sh cc "${tools[@]}" >&2
cargo build --profile dist --workspace --bins --locked >&2
target=$(cargo metadata --format-version 1 --no-deps --locked | jq -r .target_directory)
exec "$target/dist/bench" "$command" "$@"
