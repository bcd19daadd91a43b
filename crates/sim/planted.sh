#!/usr/bin/env bash
# Takes every wrong turn of payout::planted, one after the other, and says which seed saw it. Fails when one is not seen.
#
#   bash crates/sim/planted.sh [NAME,NAME|all] [A..B]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cargo build --profile sim --workspace --bin bursar-sim --locked --quiet
exec "${CARGO_TARGET_DIR:-target}/sim/bursar-sim" --planted "${1:-all}" --seeds "${2:-0..2000}" --jobs "$(nproc)"
