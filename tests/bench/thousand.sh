#!/usr/bin/env bash
# Whether a server keeps time: 1,000 simulated hosts with 20 checks each every five minutes (14 through the agent, 6 from outside), asked
# for ten minutes by `allmende serve`. Each host is an SSH server with a key of its own on loopback. Prints how much later than in
# their rhythm checks were asked, the answers, and the server's memory and processor time.
#   tests/bench/thousand.sh [MINUTES]       HOSTS, PROFILE of the build (release)
set -euo pipefail
cd "$(dirname "$0")/../.."
minutes=${1:-10} profile=${PROFILE:-release}
work=$(mktemp -d /tmp/allmende-bench-XXXXXX)
export BENCH_FOLDER=$work BENCH_HOSTS=${HOSTS:-1000} LC_ALL=C.UTF-8
trap 'touch "$work/end"; [ -z "${server:-}" ] || kill "$server" 2>/dev/null || true; wait; rm -rf "$work"' EXIT
ulimit -n "$(ulimit -Hn)"

cargo build --profile "$profile" -p allmende 2>/dev/null
allmende=${CARGO_TARGET_DIR:-target}/${profile/#dev/debug}/allmende
program=$(cargo test --profile "$profile" -p allmende --bin allmende --no-run --message-format=json 2>/dev/null |
  jq -r 'select(.executable != null and .target.name == "allmende" and .profile.test) | .executable')
bench() { "$program" --ignored --exact --nocapture "$1"; }
until_there() { for ((i = 0; i < 1200; i++)); do [ ! -e "$1" ] || return 0; sleep 0.1; done; echo "$1 did not come" >&2; exit 1; }

bench health::probe::tests::bench::benchmark_server > "$work/pages.out" 2>&1 &
bench fleet::simulated_hosts::benchmark_hosts > "$work/hosts.out" 2>&1 &
until_there "$work/ports"; until_there "$work/hosts.json"
read -r http https <<< "$(cat "$work/ports")"

export ALLMENDE_DATA_DIR=$work/data
"$allmende" init > /dev/null
mkdir -p "$work/templates/base"
sed "s/\"@http@\"/$http/; s/\"@https@\"/$https/; s/@http@/$http/" tests/bench/watched/base/service.toml > "$work/templates/base/service.toml"
printf 'templates = ["%s"]\nlisten = "127.0.0.1:0"\n' "$work/templates" > "$work/data/allmende.toml"
bench server::sweep::bench::benchmark_inventory > "$work/inventory.out" 2>&1 || { cat "$work/inventory.out" >&2; exit 1; }

"$allmende" serve > "$work/serve.out" 2>&1 &
server=$!
sleep "$((minutes * 60))"
kill -0 "$server" || { cat "$work/serve.out" >&2; exit 1; }
BENCH_ENDED=$(date +%s%3N); export BENCH_ENDED
ticks=$(awk '{ print $14 + $15 }' "/proc/$server/stat")
memory=$(awk '/VmHWM/ { print int($2 / 1024) }' "/proc/$server/status")
kill "$server"; wait "$server" || true; server=
bench server::sweep::bench::benchmark_lateness > "$work/lateness.out" 2>&1 || { cat "$work/lateness.out" >&2; exit 1; }
sed -n 's/.*BENCH //p' "$work/lateness.out"
printf '%s hosts for %s minutes: %.1f s of processor time (%.1f %% of one core), %s MB of memory at most\n' "$BENCH_HOSTS" "$minutes" \
  "$(awk -v t="$ticks" -v hz="$(getconf CLK_TCK)" 'BEGIN { print t / hz }')" \
  "$(awk -v t="$ticks" -v hz="$(getconf CLK_TCK)" -v m="$minutes" 'BEGIN { print t / hz / m / 60 * 100 }')" "$memory"
cat "$work/serve.out"
