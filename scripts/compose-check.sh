#!/usr/bin/env bash
# Checks the compose files with real containers: `docker-compose up -d`, then docker-compose.replicas.yml on the
# same volumes, then docker-compose.scale.yml on its own; each container killed in turn, `down` and `up`. It takes
# about half an hour, and much longer the first time, when it builds the images. scripts/test.sh does not run it,
# because it needs Docker. Ports 8001, 8002 and 15672 must be free; its containers and volumes are its
# own, and are deleted at the end.
#
#   scripts/compose-check.sh          everything
#   scripts/compose-check.sh scale    docker-compose.scale.yml alone
#   DOCKER_COMPOSE='docker compose' scripts/compose-check.sh
set -euo pipefail
cd "$(dirname "$0")/.."

read -ra compose <<<"${DOCKER_COMPOSE:-docker-compose}"
export COMPOSE_PROJECT_NAME=lockstep_check
users=http://127.0.0.1:8001 auth=http://127.0.0.1:8002
name=keeper-$RANDOM password='correct horse battery'
files=() scale=()
work=$(mktemp -d)

say() { printf '%(%T)T %s\n' -1 "$*"; }
run() { "${compose[@]}" "${files[@]}" "$@"; }
fail() { say "FAILED: $*"; run logs --tail=40 >&2; exit 1; }
clean_up() {
  for part in replicas scale; do
    files=(-f docker-compose.yml -f "docker-compose.$part.yml")
    run down -v &>/dev/null || true
  done
  rm -rf "$work"
}
trap clean_up EXIT

# up: starts what is missing, and waits until nothing is degraded.
up() {
  local url
  run up -d "${scale[@]}" &>/dev/null || run up -d "${scale[@]}"
  for url in "$users" "$auth"; do
    within 90 all_well "$url" || fail "$url/readyz: $(curl -s "$url/readyz")"
  done
}
within() {
  local deadline=$((SECONDS + $1))
  until "${@:2}"; do ((SECONDS < deadline)) || return 1; sleep 0.5; done
}
all_well() {
  curl -s --max-time 2 "$1/readyz" | jq -e '.status == "ready" and (.degraded // []) == []' >/dev/null
}
smoke() {
  say "smoke: $*"
  scripts/smoke.sh >"$work/smoke" || { grep -v '^ok' "$work/smoke"; fail "smoke $*"; }
  grep '^note' "$work/smoke" || true
  tail -n 1 "$work/smoke"
}
token() {
  jq -nc --arg n "$name" --arg p "$password" '{username: $n, password: $p}' |
    curl -s --fail "$auth/login" -H 'Content-Type: application/json' -d @- | jq -re .token
}
# status METHOD PATH TOKEN [ADDRESS]: through the published port, or at one replica.
status() {
  curl -s -o /dev/null -w '%{http_code}' --max-time 5 -X "$1" "${4:-$auth}$2" -H "Authorization: Bearer $3"
}
addresses() {
  run ps -q auth_service | xargs docker inspect -f \
    "{{with index .NetworkSettings.Networks \"${COMPOSE_PROJECT_NAME}_edge\"}}http://{{.IPAddress}}:8002{{end}}"
}

# keeps [ADDRESS...]: what was logged out stays dead, what lives stays alive, at each address.
keeps() {
  local address
  for address in "$auth" "$@"; do
    [[ $(status GET /verify "$dead" "$address") == 401 ]] || fail "$address takes a token that was logged out"
    [[ $(status GET /verify "$living" "$address") == 200 ]] || fail "$address refuses a living token"
  done
}

# begin: a user with two tokens, of which one is logged out.
begin() {
  jq -nc --arg n "$name" --arg p "$password" '{username: $n, password: $p}' |
    curl -s --fail -o /dev/null "$users/users" -H 'Content-Type: application/json' -d @-
  within 10 token >/dev/null || fail 'the user cannot log in'
  dead=$(token) living=$(token)
  [[ $(status POST /logout "$dead") == 200 ]]
}

# at_each_replica: the tokens of before, and a logout at each replica in turn.
at_each_replica() {
  local at other token replicas
  mapfile -t replicas < <(addresses)
  ((${#replicas[@]} == 3)) || fail "${#replicas[@]} replicas"
  keeps "${replicas[@]}"
  for at in "${replicas[@]}"; do
    token=$(token)
    [[ $(status POST /logout "$token" "$at") == 200 ]] || fail "logout at $at"
    for other in "$auth" "${replicas[@]}"; do
      [[ $(status GET /verify "$token" "$other") == 401 ]] || fail "logged out at $at, taken at $other"
    done
  done
  say 'a logout at each replica is refused by all'
}

# killed SERVICE...: others do the work of each of its containers, one after the other.
killed() {
  local service container
  for service; do
    for container in $(run ps -q "$service"); do
      docker kill "$container" >/dev/null
      smoke "one container of $service is killed"
      keeps
      up
    done
  done
}

# killed_alone SERVICE...: there is one container, which is started again at once, as an operator would.
killed_alone() {
  local service
  for service; do
    docker kill "$(run ps -q "$service")" >/dev/null
    run up -d "${scale[@]}" &>/dev/null &
    smoke "$service is killed"
    wait $! || up
    up
    keeps
  done
}

down_and_up() {
  run down &>/dev/null
  up
  keeps
  smoke 'after down and up'
}

run build --quiet 2>/dev/null || run build
if [[ ${1:-} != scale ]]; then
  say 'one process of each service'
  up
  smoke 'one process of each service'
  begin
  keeps
  down_and_up
  run down &>/dev/null

  say 'three replicas behind nginx, on the same volumes'
  files=(-f docker-compose.yml -f docker-compose.replicas.yml) scale=(--scale auth_service=3)
  up
  at_each_replica
  smoke 'three replicas'
  killed auth_service
  killed_alone rabbitmq user_service auth_proxy
  down_and_up
  at_each_replica
  [[ $(run exec -T auth_service ls /data | grep -c '^replica-') == 3 ]] || fail 'not three places'
  run down -v &>/dev/null
fi

say 'PostgreSQL, three nodes of RabbitMQ, two user_service, three auth_service'
files=(-f docker-compose.yml -f docker-compose.scale.yml) scale=(--scale user_service=2 --scale auth_service=3)
up
smoke 'everything several times'
begin
at_each_replica
killed user_service auth_service rabbitmq rabbitmq2 rabbitmq3
killed_alone postgres proxy
down_and_up
at_each_replica
[[ $(run exec -T user_service ls /data | grep -c '^replica-') == 2 ]] || fail 'not two places'
say 'passed'
