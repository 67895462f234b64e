# What `allmende host add` runs on a host, once, through the access of the person who adds it. POSIX sh.
#
# The controller puts settings in front (action, mark, root, agent, sha256, upload, line, blob …), takes out comments and
# indentation, and sends the whole as one argument that every login shell passes on unchanged. What is for the controller
# is marked, so that whatever a login shell prints does no harm. `root` is empty, except in tests.

set -eu
umask 022
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

say() { printf '\n%s %s\n' "$mark" "$*"; }

agent=$root$agent
before_agent=$agent.before-allmende
arriving_keys=
case $action in
jump) ssh=$HOME/.ssh ;;
*) ssh=$root/root/.ssh ;;
esac
keys=$ssh/authorized_keys
if [ -L "$keys" ]; then keys=$(readlink -f "$keys"); fi
before_keys=$keys.before-allmende

# Nothing half-written stays behind, whatever happens, but the part of an agent that the next try goes on with.
trap 'rm -f "$arriving_keys"' EXIT
trap 'exit 1' HUP INT TERM

facts() {
    say system "$(uname -s)"
    say arch "$(uname -m)"
    say uid "$(id -u)"
    # shellcheck disable=SC1090,SC1091
    say os "$(. "$root/etc/os-release" 2>/dev/null && echo "${ID:-} ${ID_LIKE:-}")" || true
    if [ -f "$agent" ]; then say agent "$(sha256sum <"$agent" | cut -d ' ' -f 1)"; fi
    if command -v sudo >/dev/null 2>&1; then say sudo yes; fi
    if [ -n "${SSH_CLIENT:-}" ]; then say client "${SSH_CLIENT%% *}"; fi
}

place_agent() {
    if [ "$upload" = no ]; then
        say agent same
        return
    fi
    directory=${agent%/*}
    if [ ! -d "$directory" ]; then
        mkdir -p "$directory"
        say made_directory yes
    fi
    arriving=$directory/.arriving.$sha256
    for old in "$directory"/.arriving.*; do
        if [ "$old" != "$arriving" ]; then rm -f "$old"; fi
    done
    : >>"$arriving"
    say have "$(($(wc -c <"$arriving")))"
    say ready
    cat >>"$arriving"
    came=$(($(wc -c <"$arriving")))
    if [ "$came" -lt "$size" ]; then
        echo "only $came of $size bytes of the agent arrived; the next try sends the rest" >&2
        exit 1
    fi
    if [ "$(sha256sum <"$arriving" | cut -d ' ' -f 1)" != "$sha256" ]; then
        rm -f "$arriving"
        echo "the agent arrived damaged ($came bytes)" >&2
        exit 1
    fi
    chmod 755 "$arriving"
    sync "$arriving" 2>/dev/null || true
    if [ -f "$agent" ]; then
        ln -f "$agent" "$before_agent"
        say agent replaced
    else
        say agent new
    fi
    mv -f "$arriving" "$agent"
}

authorize_key() {
    if [ ! -d "$ssh" ]; then
        mkdir -m 700 "$ssh"
        say made_ssh yes
    fi
    if [ -f "$keys" ]; then
        # The same key with fewer restrictions would win, were it to stay.
        others=$(awk -v blob="$blob" -v line="$line" \
            'index($0, blob) && $0 !~ /^[ \t]*#/ && $0 != line { n++ } END { print n + 0 }' "$keys")
        same=$(grep -cxF "$line" "$keys" || true)
        if [ "$others" = 0 ] && [ "$same" = 1 ]; then
            say key same
            return
        fi
    fi
    arriving_keys=$keys.arriving.$$
    if [ -f "$keys" ]; then
        # Owner and mode stay as they are: the copy is filled anew, then takes the old one's place.
        cp -p "$keys" "$before_keys"
        cp -p "$keys" "$arriving_keys"
        awk -v blob="$blob" '!index($0, blob) || $0 ~ /^[ \t]*#/' "$keys" >"$arriving_keys"
        say key added
    else
        (umask 077 && : >"$arriving_keys")
        say key first
    fi
    printf '%s\n' "$line" >>"$arriving_keys"
    sync "$arriving_keys" 2>/dev/null || true
    mv -f "$arriving_keys" "$keys"
}

case $action in
facts)
    facts
    ;;
install)
    rm -f "$before_agent" "$before_keys"
    place_agent
    authorize_key
    ;;
# The person's own account on a host that is only passed through.
jump)
    authorize_key
    rm -f "$before_keys"
    ;;
# Everything works: what was there before is not needed any more.
settle)
    rm -f "$before_agent" "$before_keys"
    ;;
undo)
    case $undo_key in
    added) mv -f "$before_keys" "$keys" ;;
    first) rm -f "$keys" ;;
    esac
    case $undo_agent in
    replaced) mv -f "$before_agent" "$agent" ;;
    new) rm -f "$agent" ;;
    esac
    if [ "$undo_ssh" = yes ]; then rmdir "$ssh" 2>/dev/null || true; fi
    if [ "$undo_directory" = yes ]; then rmdir "${agent%/*}" 2>/dev/null || true; fi
    ;;
diagnose)
    sshd -T -C "user=root,host=$client,addr=$client" 2>/dev/null | while read -r setting; do
        say sshd "$setting"
    done || true
    ;;
esac
say done
