#!/usr/bin/env bash
# Checks the whole contract of a running system, from outside, with curl and jq.
#
#   scripts/smoke.sh [USER_URL [AUTH_URL]]     default: http://127.0.0.1:8001 http://127.0.0.1:8002
#
# Prints a line for each check; the last one is `N passed, N failed`. Exit code 1: a check failed;
# 2: a service did not become ready. It deletes the users that it created, so it can run repeatedly.
set -uo pipefail

users=${1:-http://127.0.0.1:8001}
auth=${2:-http://127.0.0.1:8002}
users=${users%/} auth=${auth%/}

passed=0 failed=0
status='' body=''
made=() # ids of the users to delete at the end
work=$(mktemp -d)
run=$(date +%s)-$RANDOM # makes the names of this run unique

clean_up() {
  local id
  for id in "${made[@]}"; do
    curl --silent --max-time 10 --output /dev/null --request DELETE "$users/users/$id"
  done
  rm -rf "$work"
}
trap clean_up EXIT

# --- Asking ---------------------------------------------------------------------------------------

# call METHOD URL [CURL_ARGUMENT...]: sets $status, $body and, for `header`, the headers. A 503 with
# Retry-After asks for the same request again: a part of the system is just coming back. That is
# tried for 15 s at most.
call() {
  local deadline=$((SECONDS + 15)) pause
  while call_once "$@" && [[ $status == 503 ]]; do
    pause=$(header Retry-After)
    [[ $pause =~ ^[0-9]$ ]] || break
    ((SECONDS + pause <= deadline)) || break
    printf 'note    %s %s answered 503, and is sent again after %s s\n' "$1" "${2%%\?*}" "$pause"
    sleep "$pause"
  done
}

# call_once: one request of `call`.
call_once() {
  local method=$1 url=$2
  shift 2
  : >"$work/body"
  : >"$work/headers"
  status=$(curl --silent --max-time 20 --request "$method" --dump-header "$work/headers" \
    --output "$work/body" --write-out '%{http_code}' "$@" "$url")
  body=$(<"$work/body")
}

# send METHOD URL JSON [CURL_ARGUMENT...]: a call with a JSON body.
send() {
  call "$1" "$2" --header 'Content-Type: application/json' --data-raw "$3" "${@:4}"
}

# create NAME PASSWORD [CURL_ARGUMENT...]: creates a user; also sets $id, if there is one.
create() {
  send POST "$users/users" "$(jq -nc --arg n "$1" --arg p "$2" '{username: $n, password: $p}')" "${@:3}"
  id=$(jq -r '.id? // empty' <<<"$body" 2>/dev/null)
  [[ $status != 201 || -z $id ]] || made+=("$id")
}

# login NAME PASSWORD [CURL_ARGUMENT...]: logs in; also sets $token, if there is one.
login() {
  send POST "$auth/login" "$(jq -nc --arg n "$1" --arg p "$2" '{username: $n, password: $p}')" "${@:3}"
  token=$(jq -r '.token? // empty' <<<"$body" 2>/dev/null)
}

logout() { call POST "$auth/logout" --header "Authorization: Bearer $1"; }
refresh() { call POST "$auth/refresh" --header "Authorization: Bearer $1"; }
verify() { call GET "$auth/verify" --header "Authorization: Bearer $1"; }

# header NAME: its value in the last response.
header() {
  tr -d '\r' <"$work/headers" | sed -n "s/^$1: *//Ip" | tail -n 1
}

# --- Judging --------------------------------------------------------------------------------------

# check SENTENCE CONDITION...: one line of the result.
check() {
  local sentence=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    printf 'ok      %s\n' "$sentence"
  else
    failed=$((failed + 1))
    printf 'FAILED  %s; instead came %s %.300s [%.300s]\n' "$sentence" "$status" \
      "${body//$'\n'/ }" "$(tr -d '\r' <"$work/headers" | tail -n +2 | paste -sd '|')"
  fi
}

# answered CODE...: the status is one of these codes.
answered() { [[ " $* " == *" $status "* ]]; }
# body_has JQ_FILTER: the body is JSON and the filter is true of it.
body_has() { jq -e "$1" <<<"$body" >/dev/null 2>&1; }
# is_user ID NAME: the body is exactly that user.
is_user() { jq -e --argjson id "$1" --arg name "$2" '. == {id: $id, username: $name}' <<<"$body" >/dev/null 2>&1; }
# header_is NAME PATTERN: a regular expression that the whole value matches.
header_is() { [[ $(header "$1") =~ ^($2)$ ]]; }
no_header() { [[ -z $(header "$1") ]]; }
body_is_empty() { [[ -z $body ]]; }
same() { [[ $1 == "$2" ]]; }
differ() { [[ -n $1 && -n $2 && $1 != "$2" ]]; }
# is_problem CODE...: an RFC 9457 document of one of these statuses.
is_problem() {
  answered "$@" && header_is Content-Type 'application/problem\+json.*' &&
    body_has "(.type, .title, .detail | type == \"string\") and .status == $status
      and (keys - [\"type\", \"title\", \"status\", \"detail\", \"error\", \"errors\"] == [])"
}
points_at() { body_has "any(.errors[]; .pointer == \"$1\" and (.detail | length > 0))"; }
challenges() { header_is WWW-Authenticate 'Bearer.*'; }
# verify_within SECONDS TOKEN CODE: repeats the request, because writes reach auth_service over the
# bus.
verify_within() {
  local deadline=$((SECONDS + $1))
  while verify "$2" && ! answered "$3" && ((SECONDS < deadline)); do sleep 0.1; done
  answered "$3"
}

# jwt_part NUMBER TOKEN: the JSON of its header (0) or claims (1).
jwt_part() {
  jq -Rc "split(\".\")[$1] | gsub(\"-\"; \"+\") | gsub(\"_\"; \"/\")
    | . + \"===\"[:(4 - length % 4) % 4] | @base64d | fromjson" <<<"$2"
}

# --- Waiting until both are ready -----------------------------------------------------------------

for tool in curl jq; do
  command -v "$tool" >/dev/null || { echo "smoke.sh needs $tool" >&2; exit 2; }
done
for url in "$users" "$auth"; do
  deadline=$((SECONDS + 30))
  until call_once GET "$url/readyz" --max-time 2 && answered 200; do
    if ((SECONDS >= deadline)); then
      echo "$url/readyz is not ready after 30 s: ${status/#000/no answer} $body" >&2
      exit 2
    fi
    sleep 0.3
  done
done

# --- The account that everybody tries first -------------------------------------------------------

create testuser testpassword
check 'POST /users takes testuser / testpassword, or it is taken' answered 201 409
if answered 201; then
  check 'its body is exactly the id and the name' is_user "$id" testuser
  check 'ids are integers from 1' body_has '.id >= 1 and .id == (.id | floor)'
  check 'Location is its path' header_is Location "/users/$id"
fi
create TestUser testpassword
check 'POST /users refuses TestUser beside testuser with 409' is_problem 409
login testuser testpassword
check 'POST /login takes testuser / testpassword' answered 200
check 'its body is exactly the token' body_has 'keys == ["token"] and (.token | type == "string")'
testuser_token=$token
logout "$testuser_token"
check 'POST /logout answers 200' answered 200
check 'its body is exactly the status' body_has '. == {status: "logout successful"}'

# --- One user, created and read -------------------------------------------------------------------

name=Ann-$run password='correct horse battery'
create "$name" "$password" --header "X-Request-Id: smoke-$run"
ann=$id consistency=$(header Consistency-Token) etag=$(header ETag)
check 'POST /users answers 201 with the object' is_user "$ann" "$name"
check 'with its Location' header_is Location "/users/$ann"
check 'with a strong ETag' header_is ETag '"[^"]+"'
check 'with a Consistency-Token' header_is Consistency-Token '[^ ]+'
check 'as application/json' header_is Content-Type 'application/json.*'
check 'and gives back the X-Request-Id' header_is X-Request-Id "smoke-$run"

login "$name" "$password" --header "Consistency-Token: $consistency"
check 'POST /login with the Consistency-Token works at once' answered 200
ann_token=$token

call GET "$users/users/$ann"
check 'GET /users/{id} answers with the object' is_user "$ann" "$name"
check 'and the same ETag' same "$(header ETag)" "$etag"
check 'and a new X-Request-Id' header_is X-Request-Id '[^ ]+'
call GET "$users/users/$ann" --header "If-None-Match: $etag"
check 'GET with If-None-Match answers 304' answered 304
check 'without a body' body_is_empty

create "${name^^}" "$password"
check 'POST /users of the same name in capitals answers 409' is_problem 409
create "Bob-$run" "$password" --header "Idempotency-Key: smoke-$run"
bob=$id
create "Bob-$run" "$password" --header "Idempotency-Key: smoke-$run"
check 'POST /users with the same Idempotency-Key answers 201 again' answered 201
check 'with the same user' is_user "$bob" "Bob-$run"
check 'and the same Location' header_is Location "/users/$bob"

# --- Lists ----------------------------------------------------------------------------------------

call GET "$users/users"
check 'GET /users answers with a bare array of at most 100 users' \
  body_has 'type == "array" and length <= 100 and all(.[]; keys == ["id", "username"])'
call GET "$users/users?limit=1&after=$((ann - 1))"
check 'GET /users?limit=1&after= answers with the next one' body_has "map(.id) == [$ann]"
check 'and a Link to the next page' header_is Link '<[^>]+>; *rel="?next"?'
next=$(header Link | sed -E 's/^<([^>]*)>.*/\1/')
[[ $next != /* ]] || next=$users$next
call GET "$next"
check 'the Link leads to the user after it' body_has "length == 1 and .[0].id > $ann"
call GET "$users/users?after=9007199254740991"
check 'GET /users after the last one is an empty array' body_has '. == []'
check 'without a Link' no_header Link
call GET "$users/users?username=${name,,}"
check 'GET /users?username= finds one, whatever the case' \
  body_has "length == 1 and .[0] == {id: $ann, username: \"$name\"}"
call GET "$users/users?username=nobody-$run"
check 'GET /users?username= of nobody is an empty array' body_has '. == []'
call GET "$users/users?limit=no"
check 'GET /users with a bad limit is a problem' is_problem 400 422

# --- A new name -----------------------------------------------------------------------------------

renamed=Anne-$run
send PUT "$users/users/$ann" "{\"username\": \"Bob-$run\"}"
check 'PUT /users/{id} with a taken name answers 409' is_problem 409
send PUT "$users/users/$ann" "{\"username\": \"$renamed\"}" --header "If-Match: $etag"
check 'PUT /users/{id} with If-Match answers 200 with the object as it now is' is_user "$ann" "$renamed"
check 'with another ETag' differ "$(header ETag)" "$etag"
consistency=$(header Consistency-Token)
check 'with a Consistency-Token' differ "$consistency" none
send PUT "$users/users/$ann" '{"username": "late"}' --header "If-Match: $etag"
check 'PUT with a stale If-Match answers 412' is_problem 412
call DELETE "$users/users/$ann" --header "If-Match: $etag"
check 'DELETE with a stale If-Match answers 412' is_problem 412
login "$renamed" "$password" --header "Consistency-Token: $consistency"
check 'POST /login works under the new name' answered 200
login "$name" "$password" --header "Consistency-Token: $consistency"
check 'and no longer under the old one' is_problem 401

# --- Tokens ---------------------------------------------------------------------------------------

check 'the token is a JWT in three parts' grep -qxE '([A-Za-z0-9_-]+\.){2}[A-Za-z0-9_-]+' <<<"$ann_token"
body=$(jwt_part 0 "$ann_token")
check 'signed by EdDSA, of type at+jwt' body_has '.alg == "EdDSA" and .typ == "at+jwt"'
kid=$(jq -r .kid <<<"$body")
body=$(jwt_part 1 "$ann_token")
check 'with the claims iss sub aud exp iat nbf jti sid client_id stamp' \
  body_has '["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "sid", "auth_time", "client_id", "stamp"]
    - keys == []'
check 'about this user' body_has ".sub == \"$ann\" and .exp > .iat"
call GET "$auth/.well-known/jwks.json"
check '/.well-known/jwks.json holds its key' \
  body_has "any(.keys[]; .kid == \"$kid\" and .kty == \"OKP\" and .crv == \"Ed25519\")"
check 'and no private one' body_has 'all(.keys[]; has("d") | not)'
call GET "$auth/.well-known/oauth-authorization-server"
check '/.well-known/oauth-authorization-server names the issuer and the keys' \
  body_has "(.issuer == $(jwt_part 1 "$ann_token" | jq .iss)) and (.jwks_uri | endswith(\"/.well-known/jwks.json\"))"
for path in introspect revoke; do
  call POST "$auth/$path" --data-urlencode "token=$ann_token"
  check "POST /$path without a client secret answers 401, or 404 if it is off" is_problem 401 404
done

verify "$ann_token"
check 'GET /verify answers 200 while the token lives' answered 200
check 'with X-User-Id' header_is X-User-Id "$ann"
sid=$(jwt_part 1 "$ann_token" | jq -r .sid)
refresh "$ann_token"
check 'POST /refresh answers 200 with exactly {"token"}' body_has 'keys == ["token"]'
refreshed=$(jq -r .token <<<"$body")
check 'it is another token' differ "$refreshed" "$ann_token"
check 'of the same session' same "$(jwt_part 1 "$refreshed" | jq -r .sid)" "$sid"
verify "$refreshed"
check 'and lives' answered 200
refresh "$testuser_token"
check 'POST /refresh of a token that was logged out answers 401' is_problem 401
verify "$testuser_token"
check 'GET /verify answers 401 after its logout' is_problem 401
logout "$testuser_token"
check 'POST /logout again answers 401' is_problem 401
check 'with WWW-Authenticate: Bearer' challenges
call POST "$auth/logout"
check 'POST /logout without a token answers 401' is_problem 401
check 'with WWW-Authenticate: Bearer' challenges
logout "${ann_token%?????}AAAAA"
check 'POST /logout with a forged signature answers 401' is_problem 401
login "$renamed" 'wrong password'
check 'POST /login with a wrong password answers 401' is_problem 401
check 'with WWW-Authenticate: Bearer' challenges
login "nobody-$run" "$password"
check 'POST /login of nobody answers 401' is_problem 401

login "$renamed" "$password"
other_token=$token
login "$renamed" "$password"
call POST "$auth/logout/all" --header "Authorization: Bearer $token"
check 'POST /logout/all answers 200' answered 200
verify "$other_token"
check 'and every token of the user is dead' is_problem 401
call POST "$auth/logout/all" --header "Authorization: Bearer $token"
check 'POST /logout/all may be repeated' answered 200
login "$renamed" "$password"
check 'POST /login works at once after it' answered 200
ann_token=$token

# --- Administration ---------------------------------------------------------------------------------

for request in "DELETE /users/$ann/sessions" "POST /users/$ann/reset-token"; do
  call "${request% *}" "$users${request#* }"
  check "$request without an administrator's token answers 401" is_problem 401
  check 'with WWW-Authenticate: Bearer' challenges
done
send POST "$users/password-reset" '{"reset_token": "x", "password": "another password"}'
check 'POST /password-reset with a token that nobody made answers 403' is_problem 403

# --- A new password -------------------------------------------------------------------------------

new_password='Tr0ub4dor & zoë'
send PUT "$users/users/$ann" '{"password": "another password"}'
check 'PUT of a password without current_password is refused' is_problem 400 401 403 422
send PUT "$users/users/$ann" '{"password": "another password", "current_password": "wrong password"}'
check 'PUT of a password with a wrong current_password is refused' is_problem 401 403 422
verify "$ann_token"
check 'and kills no token' answered 200
send PUT "$users/users/$ann" \
  "$(jq -nc --arg new "$new_password" --arg old "$password" '{password: $new, current_password: $old}')"
check 'PUT of a password with the current one answers with the object' is_user "$ann" "$renamed"
consistency=$(header Consistency-Token)
login "$renamed" "$new_password" --header "Consistency-Token: $consistency"
check 'POST /login takes the new password' answered 200
new_token=$token
login "$renamed" "$password"
check 'and no longer the old one' is_problem 401
check 'the old token is dead' verify_within 5 "$ann_token" 401
check 'the new one lives' verify_within 0 "$new_token" 200

# --- Deleted --------------------------------------------------------------------------------------

call DELETE "$users/users/$ann"
check 'DELETE /users/{id} answers with the object as it last was' is_user "$ann" "$renamed"
consistency=$(header Consistency-Token)
call GET "$users/users/$ann"
check 'GET of a deleted user answers 404' is_problem 404
call DELETE "$users/users/$ann"
check 'DELETE of a deleted user answers 404' is_problem 404
send PUT "$users/users/$ann" '{"username": "ghost"}'
check 'PUT of a deleted user answers 404' is_problem 404
check 'the token of a deleted user is dead within 5 s' verify_within 5 "$new_token" 401
login "$renamed" "$new_password" --header "Consistency-Token: $consistency"
check 'a deleted user cannot log in' is_problem 401
create "$renamed" "$password"
check 'its name is free again, under another id' differ "$id" "$ann"

# --- Bad requests ---------------------------------------------------------------------------------

json='Content-Type: application/json'
for target in "$users/users" "$auth/login"; do
  path=/${target##*/}
  send POST "$target" '{"username": '
  check "POST $path of what is not JSON answers 400" is_problem 400
  send POST "$target" '["username", "password"]'
  check "POST $path of another form answers 400" is_problem 400
  call POST "$target" --header 'Content-Type: text/plain' --data-raw '{"username": "x", "password": "y"}'
  check "POST $path of text/plain answers 415" is_problem 415
  head -c 20480 /dev/zero | tr '\0' ' ' >"$work/large"
  call POST "$target" --header "$json" --header 'Expect:' --data-binary "@$work/large"
  check "POST $path of 20 KiB answers 413" is_problem 413
  call PATCH "$target"
  check "PATCH $path answers 405" is_problem 405
  check 'with Allow' header_is Allow '.*POST.*'
done
create "Carl-$run" short
check 'POST /users with a short password answers 422' is_problem 422
check 'and points at the password' points_at /password
create "Carl $run" "$password"
check 'POST /users with a space in the name answers 422' is_problem 422
check 'and points at the name' points_at /username
call GET "$users/users?username=Carl-$run"
check 'and neither made a user' body_has '. == []'
call GET "$users/users/9007199254740991"
check 'GET of an unknown user answers 404' is_problem 404
for bad in abc 0 -1 01 1.5 99999999999999999999; do
  call GET "$users/users/$bad"
  check "GET /users/$bad is a problem" is_problem 400 404
done

# --- What operators ask ---------------------------------------------------------------------------

for service in users auth; do
  url=${!service}
  for path in /healthz /readyz; do
    call GET "$url$path"
    check "$service: GET $path answers 200" answered 200
  done
  call GET "$url/metrics"
  check "$service: GET /metrics answers in Prometheus' form" grep -q '^# TYPE ' "$work/body"
  call GET "$url/openapi.json"
  check "$service: GET /openapi.json answers with OpenAPI 3" \
    body_has '(.openapi | startswith("3.")) and (.paths | length > 0)'
  call GET "$url/docs" --location
  check "$service: GET /docs answers 200" answered 200
  call GET "$url/nothing/here"
  check "$service: an unknown path answers 404" is_problem 404
done

printf '%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
