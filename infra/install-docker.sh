#!/bin/sh
# Makes sure that the tests can have a Docker engine and docker-compose: installs Debian's packages where they are
# missing, as root on a machine with apt, and fails with the next step elsewhere. The tests start the engine themselves.
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
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >/dev/null 2>&1 && return 0
    apt-get update -qq >/dev/null 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >/dev/null
}

engine_answers() {
    command -v docker >/dev/null 2>&1 && docker version >/dev/null 2>&1
}

if ! engine_answers && ! command -v dockerd >/dev/null 2>&1 && ! apt_install docker.io; then
    fail "no Docker engine answers, and the program dockerd is missing" "sudo apt-get install docker.io"
fi
if ! command -v docker-compose >/dev/null 2>&1 && ! apt_install docker-compose; then
    fail "the program docker-compose is missing" "sudo apt-get install docker-compose"
fi
