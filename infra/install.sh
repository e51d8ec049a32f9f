#!/bin/sh
# Makes .venv ready: `infra/install.sh run` for what `make up` needs, `infra/install.sh dev` for the tests too.
# Everything comes from the committed lock files, each file checked against its hash. Safe to run again: it does
# nothing when the lock has not changed. PYTHON=... chooses the interpreter, VENV=... the folder.
set -eu

kind=${1:?say run or dev}
venv=${VENV:-.venv}
case $kind in
    run) lock=requirements.lock ;;
    dev) lock=requirements-dev.lock ;;
    *) echo "error: got '$kind', expected run or dev" >&2; exit 2 ;;
esac

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

find_python() {
    [ -n "${PYTHON:-}" ] && set -- "$PYTHON" || set -- python3.13 python3.12 python3.11 python3
    for candidate in "$@"; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer was found (looked for $*)" \
        "install one, or name it: make PYTHON=/path/to/python3"
}

needs_libgomp() {
    # llama.cpp's wheel links OpenMP's runtime; only Linux looks it up in the system.
    [ "$(uname -s)" = Linux ] && ! "$1" -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' >/dev/null 2>&1
}

python=$(find_python)
if needs_libgomp "$python" && ! apt_install libgomp1; then
    fail "the system library libgomp.so.1 is missing, which the embedded engine needs" "sudo apt-get install libgomp1"
fi

pip() {
    "$venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"
}

make_venv() {
    echo "creating $venv with $("$python" --version)"
    if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        apt_install "python$version-venv" ||
            fail "$python cannot make virtual environments" "sudo apt-get install python$version-venv"
    fi
    "$python" -m venv --clear "$venv" || fail "$venv could not be made" "see the message above"
    echo "$PWD" >"$venv/.made-in"
}

stamp="$venv/.installed-$kind"
wanted=$(cat "$lock" pyproject.toml | cksum)
# Scripts in it name their interpreter by its path: a checkout that was moved or copied, or a Python that was removed,
# leaves ones that run something else or nothing.
if [ ! -x "$venv/bin/python" ] || [ "$(cat "$venv/.made-in" 2>/dev/null)" != "$PWD" ]; then
    make_venv
fi
if [ -x "$venv/bin/scout-deploy" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
echo "installing from $lock"
pip install --require-hashes -r "$lock"
pip install --no-deps --no-build-isolation -e .
echo "$wanted" >"$stamp"
