#!/usr/bin/env bash
# Every check and test of the project, from a clean clone with a Rust toolchain and apt.
# Missing tools are installed first (as root, or through sudo). Ends non-zero at the first failure.
set -euo pipefail
cd "$(dirname "$0")/.."

# Settings that the caller may have for another system must not affect the tests.
unset DATA_DIR HTTP_WORKERS SHUTDOWN_GRACE LOG LOG_FORMAT "${!AMQP_@}" "${!DATABASE_@}" "${!ARGON2_@}" "${!HASH_@}" \
  "${!SEALING_KEY@}" "${!USER_SERVICE_@}" "${!AUTH_@}" "${!TOKEN_@}" "${!KEY_@}" "${!SESSION_@}" "${!PASSWORD_@}" "${!LOG_@}" \
  "${!SYNC_@}" "${!LOGIN_@}" TRUSTED_PROXIES CORS_ORIGINS REQUIRE_IF_MATCH "${!CONSOLE@}" AUDIT_NAMES "${!OTEL_@}"

work=$(mktemp -d)
standalone_pid=''

clean_up() {
  [[ -z $standalone_pid ]] || kill -KILL "$standalone_pid" 2>/dev/null || true
  rm -rf "$work"
}
trap clean_up EXIT

# step HEADING COMMAND...: runs the command under a heading, and prints how long it took.
step() {
  local started=$SECONDS
  printf '\n==> %s\n' "$1"
  "${@:2}"
  printf '    (%d s)\n' $((SECONDS - started))
}

# The wire types alone: clients that use them need neither actors, runtime nor database.
check_contract() {
  cargo check --package contract --locked
  local tree
  tree=$(cargo tree --package contract --edges normal --prefix none --locked)
  if grep -E '^(actix|tokio|rusqlite)' <<<"$tree"; then
    echo 'the contract depends on the crates above' >&2
    return 1
  fi
}

# All tests, in two halves beside each other: much of the time they wait. What the second half prints
# comes at the end.
run_tests() {
  local second=(--test=faults --test=sync_model --test=token_model)
  local first code=0
  # Whatever is not in the second half: no new file of tests is forgotten.
  mapfile -t first < <(cargo metadata --format-version 1 --no-deps --locked |
    jq -r '[.packages[].targets[] | select(.kind[] == "test") | "--test=" + .name] | unique - $ARGS.positional | .[]' \
      --args -- "${second[@]}")
  # Not `cargo test --no-run`: that makes no program of an example, and a test starts one.
  cargo build --workspace --all-targets --locked
  cargo test --workspace --locked --no-fail-fast "${second[@]}" >"$work/second.log" 2>&1 &
  local running=$!
  cargo test --workspace --locked --no-fail-fast --lib --bins "${first[@]}" || code=$?
  cargo test --workspace --locked --doc || code=$?
  wait "$running" || code=$?
  cat "$work/second.log"
  return "$code"
}

# free_port FROM: the first port from FROM on which nothing listens.
free_port() {
  local port=$1
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  echo "$port"
}

# The README's tour, word for word, against USERS and AUTH.
take_the_tour() {
  awk '/^```sh tour/ { on = 1; next } /^```/ { on = 0 } on' README.md >"$work/tour.sh"
  USERS=$1 AUTH=$2 bash -euo pipefail "$work/tour.sh" | tee "$work/tour.log"
  echo
  local sight
  for sight in '"username":"testuser"' 'HTTP/1.1 201' 'x-user-id: 1' 'logout successful' \
    'HTTP/1.1 401' '"username":"newusername"' '"/username"'; do
    grep -qF "$sight" "$work/tour.log" || {
      echo "the tour does not show: $sight" >&2
      return 1
    }
  done
}

smoke_standalone() {
  # With all targets: the features are the same as for the tests, so nothing is rebuilt.
  cargo build --workspace --all-targets --locked
  local target user_port auth_port code=0
  target=$(cargo metadata --format-version 1 --no-deps --locked | jq -r .target_directory)
  user_port=$(free_port $((20000 + RANDOM % 10000)))
  auth_port=$(free_port $((user_port + 1)))

  DATA_DIR=$work/data USER_SERVICE_LISTEN=127.0.0.1:$user_port AUTH_SERVICE_LISTEN=127.0.0.1:$auth_port \
    "$target/debug/standalone" >"$work/standalone.log" 2>&1 &
  standalone_pid=$!
  curl -s --retry 30 --retry-connrefused --retry-delay 1 -o "$work/ready" "http://127.0.0.1:$auth_port/readyz"
  take_the_tour "http://127.0.0.1:$user_port" "http://127.0.0.1:$auth_port"
  if ! scripts/smoke.sh "http://127.0.0.1:$user_port" "http://127.0.0.1:$auth_port" | tee "$work/smoke.log"; then
    tail -n 50 "$work/standalone.log" >&2
    return 1
  fi

  kill -TERM "$standalone_pid"
  wait "$standalone_pid" || code=$?
  standalone_pid=''
  if ((code != 0)); then
    tail -n 50 "$work/standalone.log" >&2
    echo "standalone answered SIGTERM with exit code $code" >&2
    return 1
  fi
}

step 'Tools' scripts/install.sh cc curl jq shellcheck rabbitmq-server postgresql pgbouncer openssl nginx \
  python3-jwt python3-venv nodejs node-jose faketime chromium npm prometheus
step 'What drives the browser' npm ci --prefix standalone/tests/browser --ignore-scripts --no-audit --no-fund --silent
step 'What checks the published contracts' scripts/contract-tools.sh
step 'Shell scripts' shellcheck scripts/*.sh .ci/run
step 'Alert rules' promtool check config docs/observe/prometheus.yml
step 'Units of systemd' scripts/packages.sh
step 'Licences of dependencies' scripts/packages.sh licenses
step 'Format' cargo fmt --all --check
step 'Lints' cargo clippy --workspace --all-targets --locked -- -D warnings
step 'The contract stands alone' check_contract
step 'Tests' run_tests
step 'The tour and the smoke test of standalone' smoke_standalone

printf '\nAll of it passed in %d s; the smoke test: %s\n' "$SECONDS" "$(tail -n 1 "$work/smoke.log")"
