#!/bin/sh
# Makes sure that the tests have the real services that they start: installs Debian's packages where they are missing,
# as root on a machine with apt, and fails with the next step elsewhere. The tests start their own, on ports of their own.
set -eu

fail() {
    echo "error: $1" >&2
    echo "next: $2" >&2
    exit 1
}

apt_install() {
    # Only where it can: root, on a machine with apt.
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
    echo "installing the system package $1"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null 2>&1 && return 0
    apt-get update -qq >/dev/null 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null
}

need() {
    # need PROGRAM PACKAGE
    command -v "$1" >/dev/null 2>&1 || apt_install "$2" ||
        fail "the program $1 is missing, which the tests start" "sudo apt-get install $2"
}

need redis-server redis-server
need openssl openssl
need prometheus prometheus
