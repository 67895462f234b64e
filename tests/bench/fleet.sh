#!/usr/bin/env bash
# How long it takes to look at everything: 24 organisations with 3 web sites each on 8 hosts. Prints the medians of `plan --all`, with
# nothing to change, and of `status`, each from a cold start. Needs root; makes its own practice hosts and removes them.
#   tests/bench/fleet.sh [RUNS]       the program: ALLMENDE, or target/release/allmende
set -euo pipefail
cd "$(dirname "$0")"
runs=${1:-9}
organisations=${ORGANISATIONS:-24} hosts=${HOSTS:-8}
allmende=$(realpath "${ALLMENDE:-../../target/release/allmende}")
work=$(mktemp -d /var/tmp/allmende-bench-XXXXXX)
export ALLMENDE_DATA_DIR=$work/data LC_ALL=C.UTF-8
trap '"$allmende" lab down >/dev/null || true; rm -rf "$work"' EXIT

"$allmende" init >/dev/null
"$allmende" lab up --yes --hosts "$hosts" --release 13 >/dev/null 2>&1
names=()
while IFS=$'\t' read -r name address fingerprint key; do
  names+=("$name")
  "$allmende" host add "$name" --shared --address "$address" --identity "$key" --fingerprint "$fingerprint" >/dev/null 2>&1
done < <("$allmende" lab list --json | jq -r '.[] | [.name, .address, .fingerprint, .identity] | @tsv')

mkdir "$work/site"
echo '<h1>Hallo</h1>' > "$work/site/index.html"
{
  echo 'format = 1'
  for ((i = 1; i <= organisations; i++)); do
    printf '[organisations.org%s]\ntitle = "Verein %s e.V."\nsector = "association"\n' "$i" "$i"
    for site in one two three; do
      printf '[services.org%s.%s]\nhost = "%s"\ntemplate = "static-site"\n[services.org%s.%s.parameters]\ndomain = "%s.org%s.test"\nsource = "%s"\n' \
        "$i" "$site" "${names[$((i % hosts))]}" "$i" "$site" "$site" "$i" "$work/site"
    done
  done
} > "$work/inventory.toml"
"$allmende" import "$work/inventory.toml" --yes >/dev/null
"$allmende" apply --all --yes >/dev/null 2>&1

plan() { "$allmende" plan --all > "$work/plan"; }
status() { "$allmende" status > "$work/status"; }
TIMEFORMAT='%R %U %S'
for what in plan status; do
  "$what"
  for ((run = 0; run < runs; run++)); do { time "$what"; } 2>&1; done > "$work/times"
  printf '%s, %s services on %s hosts: median of %s runs %s s wall, %s s CPU\n' "$what" "$((organisations * 3))" "$hosts" "$runs" \
    "$(sort -n "$work/times" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')" \
    "$(awk '{ print $2 + $3 }' "$work/times" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')"
done
tail -n 1 "$work/plan"
