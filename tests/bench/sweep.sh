#!/usr/bin/env bash
# How long it takes to look at 8 hosts: load, disk, inodes, memory, failed units and listening ports, judged and put into sentences,
# beside `ssh` running six small commands for the same. Cold: each round logs in anew, against parallel ssh. Warm: over kept
# connections, against shared ones (ControlMaster; what its masters work is not counted). Needs root; makes its own practice hosts
# and removes them.
#   tests/bench/sweep.sh [ROUNDS]       PROFILE of the build (release)
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-15} profile=${PROFILE:-release} hosts=${HOSTS:-8}
work=$(mktemp -d /var/tmp/allmende-bench-XXXXXX)
export BENCH_FOLDER=$work BENCH_ROUNDS=$rounds ALLMENDE_DATA_DIR=$work/data LC_ALL=C.UTF-8
export BENCH_CHECKS="load disk inodes memory failed-units ports"
allmende=
trap 'for socket in "$work"/master-*; do [ ! -S "$socket" ] || ssh -o ControlPath="$socket" -O exit x 2>/dev/null || true; done
  [ -z "$allmende" ] || "$allmende" lab down > /dev/null || true; rm -rf "$work"' EXIT

cargo build --profile "$profile" -p allmende 2>/dev/null
allmende=${CARGO_TARGET_DIR:-target}/${profile/#dev/debug}/allmende
program=$(cargo test --profile "$profile" -p allmende --bin allmende --no-run --message-format=json 2>/dev/null |
  jq -r 'select(.executable != null and .target.name == "allmende" and .profile.test) | .executable')

"$allmende" init > /dev/null
"$allmende" lab up --yes --hosts "$hosts" --release 13 > /dev/null 2>&1
addresses=() identity=
while IFS=$'\t' read -r name address fingerprint key; do
  addresses+=("$address") identity=$key
  "$allmende" host add "$name" --shared --address "$address" --identity "$key" --fingerprint "$fingerprint" > /dev/null 2>&1
done < <("$allmende" lab list --json | jq -r '.[] | [.name, .address, .fingerprint, .identity] | @tsv')

options=(-i "$identity" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR)
commands='cat /proc/loadavg; df -P /; df -Pi /; free -m; systemctl --no-pager list-units --failed --no-legend --plain; ss -Hltn'
each() { # each OPTION…: the commands on every host, all at once
  local address pids=()
  for address in "${addresses[@]}"; do
    ssh "${options[@]}" "${@//ADDRESS/$address}" "root@$address" "$commands" < /dev/null > "$work/$address.out" & pids+=($!)
  done
  wait "${pids[@]}"
  grep -q LISTEN "$work/${addresses[0]}.out"
}
cold() { each -o ControlPath=none; }
warm() { each -o ControlPath="$work/master-ADDRESS"; }
TIMEFORMAT='%R %U %S'
measure() { { time "$1"; } 2>&1 | awk -v what="$1" '{ printf "%s %.1f %.2f\n", what, $1 * 1000, ($2 + $3) * 1000 }'; }

"$program" --ignored --exact --nocapture server::sweep::bench::benchmark_sweep > "$work/ours.out" 2>&1 || { cat "$work/ours.out" >&2; exit 1; }
for ((round = 0; round < rounds; round++)); do measure cold; done > "$work/theirs"
for address in "${addresses[@]}"; do
  ssh "${options[@]}" -o ControlMaster=yes -o ControlPersist=600 -o ControlPath="$work/master-$address" -fN "root@$address"
done
for ((round = 0; round < rounds; round++)); do measure warm; done >> "$work/theirs"

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
for how in cold warm; do
  own_wall=$(grep -o "BENCH $how .*" "$work/ours.out" | awk '{ print $4 }' | median)
  own_cpu=$(grep -o "BENCH $how .*" "$work/ours.out" | awk '{ print $5 }' | median)
  wall=$(awk -v how="$how" '$1 == how { print $2 }' "$work/theirs" | median)
  cpu=$(awk -v how="$how" '$1 == how { print $3 }' "$work/theirs" | median)
  awk -v how="$how" -v ow="$own_wall" -v oc="$own_cpu" -v w="$wall" -v c="$cpu" -v n="$rounds" 'BEGIN {
    printf "%s, medians of %d: allmende %.0f ms wall, %.1f ms CPU; ssh %.0f ms wall, %.1f ms CPU; ratios %.2f and %.2f\n", how, n, ow, oc, w, c, ow / w, oc / c }'
done
