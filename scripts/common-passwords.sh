#!/usr/bin/env bash
# Makes shared/src/identity/common_passwords.txt from the list of zxcvbn-ts (MIT): of its passwords those
# with 8 characters or more, in small letters, each once, sorted by bytes, one a line. All are ASCII.
set -euo pipefail
cd "$(dirname "$0")/.."
version=4.1.3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm pack --silent --pack-destination "$work" "@zxcvbn-ts/language-common@$version" >&2
tar -xzf "$work"/*.tgz -C "$work"
data=shared/src/identity
jq -r 'map(ascii_downcase | select(length >= 8)) | unique[]' "$work/package/src/passwords.json" \
  > "$data/common_passwords.txt"
cp "$work/package/LICENSE.txt" "$data/common_passwords.LICENSE.txt"
wc -l "$data/common_passwords.txt" >&2
