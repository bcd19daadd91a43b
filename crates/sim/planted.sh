#!/usr/bin/env bash
# Takes every wrong turn of payout::planted, one after the other, and says which seed saw it. Fails when one is not seen.
#
#   bash crates/sim/planted.sh [NAME|all] [A..B]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec cargo run --profile sim -p bursar-sim --features planted --quiet -- \
  --planted "${1:-all}" --seeds "${2:-0..2000}" --jobs "$(nproc)"
