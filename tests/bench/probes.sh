#!/usr/bin/env bash
# How many checks from outside a second: pages over http and https, each with a connection of its own whose certificate is looked at,
# asked of a server of another process on loopback. Beside it, curl --parallel with as many connections, in turn. Prints the checks a
# second, the processor time of who asks, its memory, and how many connections the server saw open at once. Then how long it takes to
# work out what is watched on 1,000 hosts.
#   tests/bench/probes.sh [RUNS]       profile of the build: PROFILE, or release
set -euo pipefail
cd "$(dirname "$0")/../.."
runs=${1:-5}
count=${COUNT:-5000} limit=${LIMIT:-64} name=cloud.kita.test
work=$(mktemp -d /tmp/allmende-bench-XXXXXX)
export BENCH_FOLDER=$work BENCH_COUNT=$count BENCH_LIMIT=$limit BENCH_AUTHORITY=$work/authority.pem LC_ALL=C.UTF-8
trap 'touch "$work/end"; wait; rm -rf "$work"' EXIT

program=$(cargo test --profile "${PROFILE:-release}" -p allmende --bin allmende --no-run --message-format=json 2>/dev/null |
  jq -r 'select(.executable != null and .target.name == "allmende" and .profile.test) | .executable')
bench() { "$program" --ignored --exact --nocapture "$1"; }

bench health::probe::tests::bench::benchmark_server > "$work/server.out" 2>&1 &
until [ -e "$work/ports" ]; do kill -0 $!; sleep 0.1; done
read -r http https <<< "$(cat "$work/ports")"

peak() { # peak: the most connections that were open at once since the last time
  touch "$work/reset"
  while [ -e "$work/reset" ]; do sleep 0.02; done
  sleep 0.1
  cat "$work/peak"
}
TIMEFORMAT='%R %U %S'
ours() { bench health::probe::tests::bench::benchmark_prober > "$work/ours.out"; }
theirs() {
  curl --silent --show-error --fail --http1.1 --noproxy '*' --cacert "$work/authority.pem" --parallel --parallel-immediate \
    --parallel-max "$limit" --connect-to "$name::127.0.0.1:" --output /dev/null "$BENCH_URL?[1-$count]" 2> "$work/curl.err" ||
    { head -n 3 "$work/curl.err"; exit 1; } >&2
}
measure() { # measure FUNCTION: wall and processor seconds
  { time "$1"; } 2>&1 | tail -n 1 | awk '{ printf "%s %.3f", $1, $2 + $3 }'
}
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

for url in "http://$name:$http/" "https://$name:$https/"; do
  export BENCH_URL=$url
  : > "$work/runs"
  measure ours > /dev/null; measure theirs > /dev/null; peak > /dev/null
  for ((run = 1; run <= runs; run++)); do
    own=$(measure ours); own_peak=$(peak)
    read -r _ _ seconds bad memory _ <<< "$(grep -o 'BENCH .*' "$work/ours.out")"
    other=$(measure theirs); other_peak=$(peak)
    [ "$bad" = 0 ] || { echo "$bad of $count answers were bad" >&2; exit 1; }
    echo "$own $other $seconds $own_peak $other_peak $memory" | tee -a "$work/runs" | awk -v n="$count" -v run="$run" -v url="${url%%:*}" \
      '{ printf "%s, run %d: allmende %.0f checks/s, %.3f s CPU, %d open at once, %d kB; curl %.0f/s, %.3f s CPU, %d open at once\n", url, run, n / $5, $2, $6, $8, n / $3, $4, $7 }'
  done
  awk '{ print $5 / $3 }' "$work/runs" | median | xargs printf "${url%%:*}, median of $runs: time as a share of curl's %.2f, "
  awk '{ print $2 / $4 }' "$work/runs" | median | xargs printf 'processor time %.2f, '
  awk -v n="$count" '{ print n / $5 }' "$work/runs" | median | xargs printf '%.0f checks a second, '
  awk -v n="$count" '{ print $2 * 1000000 / n }' "$work/runs" | median | xargs printf '%.0f µs of processor time each\n'
done

bench operations::watched::tests::benchmark_of_a_thousand_hosts | grep -o 'list of.*'
