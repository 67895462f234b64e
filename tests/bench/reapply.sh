#!/usr/bin/env bash
# How long it takes to apply 40 unchanged resources to 8 hosts, beside parallel ssh running a shell script with the same
# checks, and Ansible where it is installed, in one run: ratios are what counts. Needs root; makes its own practice hosts and
# removes them.
#   tests/bench/reapply.sh [RUNS]       the program: ALLMENDE, or target/release/allmende
set -euo pipefail
cd "$(dirname "$0")"
runs=${1:-9}
hosts=${HOSTS:-8}
allmende=$(realpath "${ALLMENDE:-../../target/release/allmende}")
work=$(mktemp -d /var/tmp/allmende-bench-XXXXXX)
export ALLMENDE_DATA_DIR=$work/data LC_ALL=C.UTF-8
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
  [ "$(cat "$work"/*.out | grep -c '^ok=1$')" = "${#addresses[@]}" ] || { echo "the floor found a difference" >&3; exit 1; }
}
ours() {
  "$allmende" --templates templates apply --org bench --yes > "$work/ours.out" 2>&1 || true
  [ "$(grep -c 'nothing to change' "$work/ours.out")" = "${#addresses[@]}" ] || { cat "$work/ours.out" >&3; exit 1; }
}

# Ansible with its own advice for speed: as many forks as hosts, no facts, pipelining. It finds the files as they are to be
# beside its playbook, with their owners and modes as the hosts have them.
entries() { # entries HOST PATH…: JSON of what is there
  shell "$1" "stat -c '{\"path\":\"%n\",\"mode\":\"0%a\",\"owner\":\"%U\",\"group\":\"%G\"}' ${*:2}" | jq -s .
}
prepare_ansible() {
  local address
  for address in "${addresses[@]}"; do
    shell "$address" "apt-get install -qqy --no-install-recommends python3 python3-apt" >/dev/null 2>&1
    mkdir -p "$work/state/$address"
    shell "$address" "tar -c $files 2>/dev/null" | tar -x -C "$work/state/$address"
  done
  jq -n --arg state "$work/state" --argjson directories "$(entries "${addresses[0]}" "$folders")" \
    --argjson files "$(entries "${addresses[0]}" "$files")" '{$state, $directories, $files}' > "$work/vars.json"
  printf '%s\n' "${addresses[@]}" > "$work/inventory"
}
ansible() {
  ANSIBLE_FORKS=$hosts ANSIBLE_GATHERING=explicit ANSIBLE_PIPELINING=True ANSIBLE_HOST_KEY_CHECKING=False \
    ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3 ANSIBLE_SSH_CONTROL_PATH_DIR="$work/control-$RANDOM" ANSIBLE_HOME="$work/ansible" \
    ansible-playbook -i "$work/inventory" -u root --key-file "$identity" -e "@$work/vars.json" ansible.yml > "$work/ansible.out" 2>&1 || true
  [ "$(grep -c 'changed=0 .*unreachable=0 .*failed=0 ' "$work/ansible.out")" = "${#addresses[@]}" ] || { cat "$work/ansible.out" >&3; exit 1; }
}

exec 3>&2 # `measure` reads standard error
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

if command -v ansible-playbook >/dev/null; then
  prepare_ansible
  for ((run = 0; run < 3; run++)); do measure ansible; done | tee "$work/ansible-runs" |
    awk '{ printf "run %d: Ansible %s s wall, %s s CPU\n", NR, $1, $2 }'
  for column in "wall:1:1" "CPU:2:2"; do
    IFS=: read -r what a b <<< "$column"
    theirs=$(cut -d' ' -f"$b" "$work/ansible-runs" | median)
    printf 'median %s: Ansible %s s, allmende takes a share of %s\n' "$what" "$theirs" \
      "$(cut -d' ' -f"$a" "$work/runs" | median | awk -v theirs="$theirs" '{ printf "%.4f", $1 / theirs }')"
  done
else
  echo "NOT MEASURED: Ansible, because ansible-playbook is not installed."
fi
