#!/bin/sh
# Makes sure that `make bench-proxy` can have its rivals: nginx and wrk, Debian's packages, as root on a machine with
# apt; and LiteLLM, in an environment of its own that it alone uses. Prints the path of LiteLLM's program, or nothing
# where it cannot be installed, since the benchmark goes on without it.
set -eu

version=1.106.12
venv=${XDG_CACHE_HOME:-$HOME/.cache}/scout-deploy/bench/litellm-$version
python=${VENV:-.venv}/bin/python

fail() {
    echo "error: $1" >&2
    echo "next: $2" >&2
    exit 1
}

apt_install() {
    # Only where it can: root, on a machine with apt.
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
    echo "installing the system package $1" >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >/dev/null 2>&1 && return 0
    apt-get update -qq >/dev/null 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >/dev/null
}

install_litellm() {
    echo "installing LiteLLM $version, for the benchmark alone" >&2
    rm -rf "$venv"
    "$python" -m venv "$venv" &&
        "$venv/bin/pip" --quiet --disable-pip-version-check install "litellm[proxy]==$version" >&2 &&
        touch "$venv/.installed"
}

if ! command -v wrk >/dev/null 2>&1 && ! apt_install wrk; then
    fail "the program wrk is missing" "sudo apt-get install wrk"
fi
if ! command -v nginx >/dev/null 2>&1 && ! apt_install nginx-light; then
    fail "the program nginx is missing" "sudo apt-get install nginx-light"
fi
if [ ! -e "$venv/.installed" ] && ! install_litellm; then
    echo "LiteLLM cannot be installed here; its row will not be measured" >&2
    exit 0
fi
echo "$venv/bin/litellm"
