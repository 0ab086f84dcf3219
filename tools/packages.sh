# Every Debian package that Holdfast's scripts need, by what it is for, and how missing ones are installed.
# Sourced by ./quickstart, ./run-tests and tools/check-bare-root.sh; does nothing on its own.
# shellcheck shell=bash
# shellcheck disable=SC2034 # the lists are for who sources this

# Building the library and the command.
holdfast_packages_build=(
    ca-certificates
    cmake
    g++
    libboost1.81-dev
    libhiredis-dev
    libcli11-dev
    libmd-dev
    libpq-dev
    libssl-dev
    ninja-build
    nlohmann-json3-dev
)

# Building and running the tests, sanitizers included.
holdfast_packages_test=(
    clang-14
    g++-mingw-w64-x86-64-posix
    googletest
    iproute2
    libclang-rt-14-dev
    libgmock-dev
    libgtest-dev
    llvm-14
    nftables
    openssl
    pgbouncer
    pkgconf
    postgresql-15
    procps
    python3
    redis-server
    util-linux
    wine
    wine64
)

# Everything else that `run-tests --all` runs.
holdfast_packages_all=(
    clang-format-14
    clang-tidy-14
    git
    shellcheck
)

# holdfast_install <package>...: installs what is missing among them, and says so first.
holdfast_install() {
    local package missing=() root=()
    if [ "${HOLDFAST_SKIP_INSTALL:-0}" = 1 ]; then
        echo "HOLDFAST_SKIP_INSTALL=1: no package is installed; these are taken to be there: $*"
        return 0
    fi
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        holdfast_cannot_install "this is not Debian: there is no apt-get" "$@"
        return 1
    fi
    for package in "$@"; do
        # A local build or a provider of the same files counts as well, as long as dpkg says it is installed.
        case "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" in
        *' installed') ;;
        *) missing+=("$package") ;;
        esac
    done
    if [ ${#missing[@]} -eq 0 ]; then
        return 0
    fi

    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            holdfast_cannot_install "you are not root, and there is no sudo" "${missing[@]}"
            return 1
        fi
        # Not -n: a person at a terminal may type a password; without one, sudo fails at once.
        root=(sudo)
    fi
    echo "Installing Debian packages with ${root[*]:+${root[*]} }apt-get: ${missing[*]}"
    if ! "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null; then
        echo "apt-get update failed; trying with the package lists that are there." >&2
    fi
    if ! "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "${missing[@]}" </dev/null; then
        holdfast_cannot_install "apt-get failed (see above; is there a network, and is this Debian 12?)" "${missing[@]}"
        return 1
    fi
}

# holdfast_cannot_install <reason> <package>...
holdfast_cannot_install() {
    local reason=$1 version=unknown
    shift
    if [ -r /etc/os-release ]; then
        # shellcheck source=/dev/null
        version=$(. /etc/os-release && echo "${PRETTY_NAME:-unknown}")
    fi
    cat >&2 <<MESSAGE

Cannot install what is missing: $reason.
  System: $version (these scripts know Debian 12's names of packages)
  Needed: $*
Install these, or what your system calls them, then run this again with HOLDFAST_SKIP_INSTALL=1.
MESSAGE
}

# How many compilers at once: each may take 1.5 GB, so memory counts as well as processors.
holdfast_jobs() {
    local processors memory
    processors=$(nproc)
    memory=$(awk '/^MemAvailable:/ { print int($2 / 1500000) }' /proc/meminfo 2>/dev/null || true)
    if [ "${memory:-0}" -lt 1 ]; then
        memory=1
    fi
    echo "${HOLDFAST_JOBS:-$((processors < memory ? processors : memory))}"
}
