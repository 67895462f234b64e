#!/usr/bin/env bash
# How long it takes to apply 40 unchanged resources to 8 hosts, beside parallel ssh running a shell script with the same
# checks, in one run: ratios are what counts. Needs root; makes its own practice hosts and removes them.
#   tests/bench/reapply.sh [RUNS]       the program: ALLMENDE, or target/release/allmende
set -euo pipefail
cd "$(dirname "$0")"
runs=${1:-9}
hosts=${HOSTS:-8}
allmende=$(realpath "${ALLMENDE:-../../target/release/allmende}")
work=$(mktemp -d /var/tmp/allmende-bench-XXXXXX)
export ALLMENDE_DATA_DIR=$work/data LC_ALL=C
trap '"$allmende" lab down >/dev/null || true; rm -rf "$work"' EXIT

"$allmende" init >/dev/null
"$allmende" lab up --yes --hosts "$hosts" --release 12 >/dev/null
"$allmende" org add bench --name Bench --sector other >/dev/null
identity=
addresses=()
while IFS=$'\t' read -r name address fingerprint key; do
  identity=$key
  addresses+=("$address")
  "$allmende" host add "$name" --org bench --address "$address" --identity "$key" --fingerprint "$fingerprint" >/dev/null
  "$allmende" --templates templates service add "s-$name" --org bench --host "$name" --template bench40 >/dev/null
done < <("$allmende" lab list --json | jq -r '.[] | [.name, .address, .fingerprint, .identity] | @tsv')
"$allmende" --templates templates apply --org bench --yes >/dev/null 2>&1

shell() { # shell ADDRESS: one cold ssh connection, the way `ssh` comes from Debian
  ssh -i "$identity" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "root@$1" "$2"
}

# The floor: the same state as one shell script, its checks batched; what it must find is read off the converged hosts.
files="/etc/benchapp/app.conf /etc/benchapp/db.conf /etc/benchapp/log.conf /etc/benchapp/env /etc/systemd/system/benchapp.service /etc/systemd/system/benchclean.service /etc/systemd/system/benchclean.timer /etc/logrotate.d/benchapp /etc/cron.d/benchapp /etc/sudoers.d/benchapp /etc/motd /etc/profile.d/benchapp.sh"
folders="/etc/benchapp /var/lib/benchapp /var/lib/benchapp/data /var/log/benchapp /opt/benchapp /opt/benchapp/bin"
packages="curl jq less rsync acl unzip bzip2 logrotate cron nftables tree lsof"
units="cron.service ssh.service benchapp.service benchclean.timer"
for address in "${addresses[@]}"; do
  {
    echo "ok=1"
    echo "[ \$(dpkg-query -W -f '\${db:Status-Abbrev}\\n' $packages | grep -c '^ii') = 12 ] || ok=0"
    echo "[ \"\$(stat -c '%n %a %U:%G' $folders $files)\" = '$(shell "$address" "stat -c '%n %a %U:%G' $folders $files")' ] || ok=0"
    echo "[ \"\$(sha256sum $files)\" = '$(shell "$address" "sha256sum $files")' ] || ok=0"
    echo "[ \"\$(getent group benchapp)\" = '$(shell "$address" "getent group benchapp")' ] || ok=0"
    echo "[ \"\$(getent passwd benchapp deploy)\" = '$(shell "$address" "getent passwd benchapp deploy")' ] || ok=0"
    echo "id -nG deploy | grep -qw sudo || ok=0"
    echo "grep -qxF 'net.core.somaxconn = 1024' /etc/sysctl.conf || ok=0"
    echo "grep -qxF 'X11Forwarding no' /etc/ssh/sshd_config || ok=0"
    echo "[ -e /etc/benchapp/instance.key ] || ok=0"
    echo "[ \$(systemctl is-enabled $units | grep -c '^enabled\$') = 4 ] || ok=0"
    echo "[ \$(systemctl is-active $units | grep -c '^active\$') = 4 ] || ok=0"
    echo 'echo ok=$ok'
  } > "$work/$address.sh"
done

floor() {
  local address pids=()
  for address in "${addresses[@]}"; do
    ssh -i "$identity" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
      "root@$address" sh -s < "$work/$address.sh" > "$work/$address.out" & pids+=($!)
  done
  wait "${pids[@]}"
  [ "$(cat "$work"/*.out | grep -c '^ok=1$')" = "${#addresses[@]}" ] || { echo "the floor found a difference" >&2; exit 1; }
}
ours() {
  "$allmende" --templates templates apply --org bench --yes > "$work/ours.out" 2>&1
  [ "$(grep -c 'nothing to change' "$work/ours.out")" = "${#addresses[@]}" ] || { cat "$work/ours.out" >&2; exit 1; }
}

TIMEFORMAT='%R %U %S'
measure() { { time "$1"; } 2>&1 | awk '{ printf "%s %.3f\n", $1, $2 + $3 }'; }
measure ours >/dev/null; measure floor >/dev/null
for ((run = 0; run < runs; run++)); do
  echo "$(measure ours) $(measure floor)"
done | tee "$work/runs" | awk '{ printf "run %d: allmende %s s wall, %s s CPU; ssh %s s wall, %s s CPU\n", NR, $1, $2, $3, $4 }'
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
for column in "wall:1:3" "CPU:2:4"; do
  IFS=: read -r what a b <<< "$column"
  printf 'median %s: allmende %s s, parallel ssh %s s, ratio %s\n' "$what" \
    "$(cut -d' ' -f"$a" "$work/runs" | median)" "$(cut -d' ' -f"$b" "$work/runs" | median)" \
    "$(awk -v a="$a" -v b="$b" '{ print $a / $b }' "$work/runs" | median)"
done
