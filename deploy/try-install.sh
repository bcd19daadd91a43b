#!/usr/bin/env bash
# Installs Bursar on a bare Debian step by step, as README.md describes, and prints how long each step took. It succeeds when /readyz
# answers. It needs root and debootstrap, changes nothing on this machine, and removes its chroot afterwards.
#
#   deploy/try-install.sh target/release/bursar     a prebuilt binary
#   deploy/try-install.sh target/debian/*.deb       the package
#   deploy/try-install.sh .                         the source: installs Rust and builds in the chroot, which takes longest
#
# MIRROR and SUITE select another Debian, ROOT an existing root file system (it is copied), PORT the port for Bursar.
set -euo pipefail

if [ $# -ne 1 ] || [ ! -e "$1" ]; then
  sed -n '2,9s/^# \{0,1\}//p' "$0"
  exit 2
fi

# Use private mount and PID namespaces, so that all mounts and processes end with this script.
if [ -z "${APART:-}" ]; then
  exec env APART=yes unshare --mount --pid --fork --kill-child "$0" "$@"
fi

given=$(realpath "$1")
port=${PORT:-18089}
root=$(mktemp -d /tmp/try-install.XXXXXX)
commands=0

leave() {
  local bursar
  bursar=$(cat "$root/srv/bursar/pid" 2>/dev/null || true)
  if [ -n "$bursar" ] && kill "$bursar" 2>/dev/null; then
    while kill -0 "$bursar" 2>/dev/null; do sleep 0.1; done
  fi
  umount "$root/proc" 2>/dev/null || true
  rm -rf --one-file-system "$root" "$root.log"
}
trap leave EXIT

# step WORDS COMMAND...: runs COMMAND in the chroot as user $as and prints how long it took.
as=root
step() {
  local words=$1 begun ended
  shift
  begun=$(date +%s%N)
  if ! chroot "$root" setpriv --reuid "$as" --regid "$as" --clear-groups env -i \
    PATH=/root/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/srv/bursar LANG=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive BURSAR_LISTEN="127.0.0.1:$port" sh -c "cd /srv/bursar && $*" >"$root.log" 2>&1; then
    cat "$root.log" >&2
    echo "failed: $words" >&2
    exit 1
  fi
  ended=$(date +%s%N)
  commands=$((commands + 1))
  printf '%8.1f s  %s\n' "$(((ended - begun) / 100000000))e-1" "$words"
}

answers() {
  local line
  exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
  printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3
  IFS= read -r line <&3
  exec 3>&-
  [[ $line == *" 200 "* ]]
} 2>/dev/null

wait_until_ready() {
  local begun ended
  begun=$(date +%s%N)
  until (answers); do
    if [ $(($(date +%s%N) - begun)) -gt 60000000000 ]; then
      cat "$root/srv/bursar/log" >&2
      echo "failed: /readyz does not answer" >&2
      exit 1
    fi
    sleep 0.05
  done
  ended=$(date +%s%N)
  printf '%8.1f s  until /readyz answers\n' "$(((ended - begun) / 100000000))e-1"
}

# A bare root file system, which a new user already has: its time is not counted.
if [ -n "${ROOT:-}" ]; then
  cp -a --reflink=auto "$ROOT/." "$root"
else
  debootstrap --variant=minbase "${SUITE:-bookworm}" "$root" "${MIRROR:-http://deb.debian.org/debian}" >"$root.log" 2>&1
fi
chmod 755 "$root"
cp /etc/resolv.conf "$root/etc/resolv.conf"
mount -t proc proc "$root/proc"
# Keep packages from starting services.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
install -d -m 755 -o 1000 -g 1000 "$root/srv/bursar"

all=$(date +%s%N)
if [ -d "$given" ]; then
  mkdir "$root/srv/source"
  tar -C "$given" --exclude=./target --exclude=./.git --exclude=./node_modules -cf - . | tar -C "$root/srv/source" -xf -
  step "a C compiler and curl" "apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev curl ca-certificates"
  step "Rust" "cd /srv/source && HOME=/root && export HOME && curl -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain none && cargo --version"
  step "cargo build --release --no-default-features" "cd /srv/source && export HOME=/root && cargo build --release --locked --no-default-features && install -m 755 target/release/bursar /usr/local/bin/bursar"
elif [ "${given##*.}" = deb ]; then
  cp "$given" "$root/srv/bursar/bursar.deb"
  step "the list of packages" "apt-get update"
  step "the package" "apt-get install -y --no-install-recommends ./bursar.deb"
else
  cp "$given" "$root/srv/bursar/program"
  step "the program" "install -m 755 program /usr/local/bin/bursar"
fi
as=1000
step "bursar serve" '{ bursar serve >log 2>&1 & echo $! >pid; }'
wait_until_ready
link=$(grep -o 'http://[^ ]*/login/[^ ]*' "$root/srv/bursar/log" | head -1)
[ -n "$link" ] || { echo "failed: there is no link to begin with" >&2; exit 1; }
printf '%8.1f s  in all, with %d commands; the link to begin with is there\n' "$((($(date +%s%N) - all) / 100000000))e-1" "$commands"
