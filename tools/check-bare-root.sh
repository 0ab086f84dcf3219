#!/usr/bin/env bash
# Runs ./quickstart or ./run-tests where nothing is installed: in a fresh Debian 12 of its own, with the last commit.
# What a script forgets to install is found here, because a developer's machine has it anyway.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'HELP'
Usage: tools/check-bare-root.sh [--user] [--keep] [--work-tree] [--base DIR] [COMMAND...]

  COMMAND      what to run in the clone there; default: ./quickstart
  --user       as an ordinary user who may use sudo, instead of as root
  --keep       leave the root behind, and say where
  --work-tree  with the files as they are now, instead of the last commit
  --base DIR   where the fresh system is kept between runs (default: build/bare-root; made when missing)

Needs root and debootstrap. Takes packages from where this machine takes its own.
HELP
}

as_user=0
keep=0
work_tree=0
base=$PWD/build/bare-root
while [ $# -gt 0 ]; do
    case "$1" in
    --user) as_user=1 ;;
    --keep) keep=1 ;;
    --work-tree) work_tree=1 ;;
    --base)
        base=${2:?--base needs a directory}
        shift
        ;;
    --help | -h)
        usage
        exit 0
        ;;
    --*)
        usage >&2
        exit 2
        ;;
    *) break ;;
    esac
    shift
done
[ $# -gt 0 ] || set -- ./quickstart

if [ "$(id -u)" -ne 0 ]; then
    echo "check-bare-root: needs root, for chroot" >&2
    exit 1
fi
if ! command -v debootstrap >/dev/null; then
    echo "check-bare-root: needs debootstrap: apt-get install debootstrap" >&2
    exit 1
fi

# The first address that has Debian's own bookworm, in either format of the lists.
mirror() {
    local file
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -r "$file" ] || continue
        awk 'BEGIN { RS = ""; FS = "\n" }
             / bookworm( |\n|$)/ && /(^|\n)Types:[^\n]*deb/ {
                 for (i = 1; i <= NF; ++i) if ($i ~ /^URIs:/) { split($i, part, " "); print part[2]; exit } }' "$file"
    done
    awk '$1 == "deb" { for (i = 2; i <= NF; ++i) if ($i == "bookworm") { print $(i - 1); exit } }' \
        /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true
}
address=$(mirror | head -n 1)
if [ -z "$address" ]; then
    echo "check-bare-root: no source of bookworm in /etc/apt; this needs a machine with Debian 12's packages" >&2
    exit 1
fi

# Kept as an archive: making it takes minutes, unpacking it seconds.
mkdir -p "$base"
work=$(mktemp -d "$base/root.XXXXXX")
root=$work/root
mounted=()
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    local status=$? point
    # The last first; nothing is removed below something that could not be unmounted.
    for point in "${mounted[@]}"; do
        if ! umount -R "$point" && ! umount -R -l "$point"; then
            echo "check-bare-root: $point is still mounted; $work is left behind" >&2
            exit 1
        fi
    done
    if [ "$keep" = 1 ]; then
        echo "Left behind: $root"
    else
        rm -rf --one-file-system "$work"
    fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

if [ ! -f "$base/minbase.tar" ]; then
    echo "== A fresh Debian 12 (debootstrap, minbase)"
    debootstrap --variant=minbase bookworm "$root" "$address"
    tar -C "$root" --one-file-system -cf "$base/minbase.tar.part" .
    mv "$base/minbase.tar.part" "$base/minbase.tar"
else
    echo "== A fresh Debian 12 (from $base/minbase.tar)"
    mkdir "$root"
    tar -C "$root" -xf "$base/minbase.tar"
fi

# The machine's lists, with what they are signed by; its settings of apt (a proxy, say) and its name servers.
rm -f "$root/etc/apt/sources.list"
for path in etc/apt/sources.list etc/apt/sources.list.d/debian.sources etc/apt/apt.conf etc/apt/apt.conf.d \
    etc/resolv.conf etc/hosts etc/ssl/certs usr/local/share/ca-certificates; do
    if [ -e "/$path" ]; then
        mkdir -p "$root/$(dirname "$path")"
        cp -aLT "/$path" "$root/$path" 2>/dev/null || true
    fi
done
if ! [ -e "$root/etc/apt/sources.list" ] && ! [ -e "$root/etc/apt/sources.list.d/debian.sources" ]; then
    echo "deb $address bookworm main" >"$root/etc/apt/sources.list"
fi

# A mount of its own, as a root is: what tests mount in their own namespaces must not get out of it.
mount --bind "$root" "$root" && mount --make-private "$root"
mounted=("$root")
mount -t proc proc "$root/proc"
mounted=("$root/proc" "${mounted[@]}")
mount --rbind /sys "$root/sys" && mount --make-rslave "$root/sys"
mounted=("$root/sys" "${mounted[@]}")
mount --rbind /dev "$root/dev" && mount --make-rslave "$root/dev"
mounted=("$root/dev" "${mounted[@]}")

user=root
home=/root
if [ $as_user = 1 ]; then
    user=builder
    home=/home/builder
    chroot "$root" useradd --create-home --shell /bin/bash "$user"
    # sudo itself is what such a user's machine has; nothing else is.
    chroot "$root" env DEBIAN_FRONTEND=noninteractive sh -c \
        'apt-get -q update && apt-get -q -y install --no-install-recommends sudo' </dev/null >/dev/null
    echo "$user ALL=(ALL) NOPASSWD: ALL" >"$root/etc/sudoers.d/$user"
    chmod 0440 "$root/etc/sudoers.d/$user"
fi

target=$root$home/holdfast
if [ $work_tree = 1 ]; then
    git init -q "$target"
    git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
        if [ -e "$file" ]; then
            printf '%s\0' "$file"
        fi
    done | tar --null -T - -cf - | tar -C "$target" -xf -
else
    git clone -q --no-hardlinks "$PWD" "$target"
fi
chroot "$root" chown -R "$user:" "$home/holdfast"

echo "== As $user: $*"
# An empty environment and no input, as from cron.
status=0
# shellcheck disable=SC2016
chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$home" USER="$user" \
    LANG=C.UTF-8 setpriv --reuid="$user" --regid="$user" --init-groups \
    bash -c 'cd ~/holdfast && exec "$@"' bash "$@" </dev/null || status=$?
if [ "$status" -eq 0 ]; then
    echo "== Worked in a bare root, as $user: $*"
else
    echo "== FAILED with $status in a bare root, as $user: $*" >&2
fi
exit "$status"
