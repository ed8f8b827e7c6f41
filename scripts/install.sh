#!/usr/bin/env bash
# Installs the named tools that are missing, with apt (as root, or through sudo):
#   scripts/install.sh cc curl jq shellcheck rabbitmq-server postgresql pgbouncer openssl nginx python3-jwt python3-venv nodejs node-jose faketime chromium npm prometheus wrk valgrind
set -euo pipefail

as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

missing=()
for tool; do
  case $tool in
    cc) packages=(gcc libc6-dev) there=cc ;; # for SQLite and AWS-LC; they need no cmake
    curl) packages=(curl ca-certificates) there=curl ;;
    # The server binary itself: Debian's wrapper in /usr/sbin is not needed here.
    rabbitmq-server) packages=(rabbitmq-server) there=/usr/lib/rabbitmq/bin/rabbitmq-server ;;
    # The programs are in a directory of their version, which is on nobody's PATH.
    postgresql) packages=(postgresql) there=/usr/lib/postgresql ;;
    pgbouncer) packages=(pgbouncer) there=/usr/sbin/pgbouncer ;; # not on the PATH of everybody
    nginx) packages=(nginx) there=/usr/sbin/nginx ;; # not on the PATH of everybody
    # A module of Debian's own Python; PyJWT only recommends the library that knows EdDSA.
    python3-jwt)
      packages=(python3-jwt python3-cryptography) there=/usr/lib/python3/dist-packages/jwt ;;
    # Makes environments for packages of PyPI, with Debian's own Python.
    python3-venv) packages=(python3-venv) there=/usr/share/doc/python3-venv ;;
    # Debian's package of npm's jose; any Node.js runs it.
    node-jose) packages=(node-jose) there=/usr/share/nodejs/jose ;;
    nodejs) packages=(nodejs) there=node ;;
    dpkg-dev) packages=(dpkg-dev binutils) there=dpkg-shlibdeps ;;
    systemd-analyze) packages=(systemd) there=systemd-analyze ;;
    # With letters of every script, which usernames may have.
    chromium) packages=(chromium fonts-dejavu-core fonts-noto-color-emoji) there=chromium ;;
    *) packages=("$tool") there=$tool ;;
  esac
  [[ -e $there ]] || command -v "$there" >/dev/null || missing+=("${packages[@]}")
done
if ((${#missing[@]} == 0)); then
  echo 'nothing is missing'
  exit
fi
echo "apt installs: ${missing[*]}"

# RabbitMQ, PostgreSQL, PgBouncer and nginx are for private processes: the packages must not start any for the
# whole system.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap 'as_root rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 0755 "$policy"
fi
as_root apt-get update -qq
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
