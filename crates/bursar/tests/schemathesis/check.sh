#!/usr/bin/env bash
# Holds the API's description against the program: starts a demonstration, sends it what the description says is right and
# what it says is wrong, and fails on whatever they do not agree about. What is left out stands in schemathesis.toml, each
# with its reason.
#
#   bash crates/bursar/tests/schemathesis/check.sh target/debug/bursar [more arguments for schemathesis run]
#
# SCHEMATHESIS names the program where it is installed already; otherwise it is installed beside the demonstration's data.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bursar=$(realpath "${1:?the built bursar}")
shift

scratch=$(mktemp -d "${TMPDIR:-/tmp}/bursar-described.XXXXXX")
demo=
leave() {
  if [ -n "$demo" ]; then
    kill "$demo" 2>/dev/null || true
    wait "$demo" 2>/dev/null || true
  fi
  rm -rf "$scratch"
}
trap leave EXIT
trap 'exit 130' INT TERM

schemathesis=${SCHEMATHESIS:-}
if [ -z "$schemathesis" ]; then
  python3 -m venv "$scratch/python"
  "$scratch/python/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  schemathesis=$scratch/python/bin/schemathesis
fi

"$bursar" demo --json --listen 127.0.0.1:0 >"$scratch/demo.json" 2>"$scratch/demo.log" &
demo=$!
for _ in $(seq 300); do
  if [ -s "$scratch/demo.json" ]; then break; fi
  if ! kill -0 "$demo" 2>/dev/null; then
    cat "$scratch/demo.log" >&2
    exit 1
  fi
  sleep 0.2
done
told() {
  python3 -c 'import json, sys; print(json.loads(open(sys.argv[1]).readline())[sys.argv[2]])' "$scratch/demo.json" "$1"
}
base=$(told base_url)
key=$(told api_key)

phases=(--phases coverage)
if [ $# -gt 0 ]; then phases=("$@"); fi
# Beside the demonstration's data, since it keeps notes where it runs.
cp "$here/schemathesis.toml" "$here/hooks.py" "$scratch"
cd "$scratch"
export PYTHONDONTWRITEBYTECODE=1 BURSAR_DESCRIBED_KEY=$key
"$schemathesis" --config-file schemathesis.toml --no-color run "$base/api/v1/openapi.json" --workers 2 \
  --warnings off "${phases[@]}"
