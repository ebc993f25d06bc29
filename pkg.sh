#!/usr/bin/env bash
# Set dj-neuron up in .venv beside this file and run it: bash pkg.sh [setup | test | benchmark | VERB ...]; no verb is "demo".
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
venv=$root/.venv
python=$venv/bin/python
stamp=$venv/.dj-neuron-setup

# what would otherwise be written to the home folder
export MPLCONFIGDIR=$venv/matplotlib
export RUSTUP_HOME=${RUSTUP_HOME:-$venv/rustup} # pip asks rustc for its version, and rustup writes its settings

say() { printf 'pkg.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# What the environment was made from: it is made again when any of it changes.
state() {
    { printf '%s\n' "$root"; cat "$root/requirements.lock" "$root/pyproject.toml"; } | cksum
}

make_with_uv() {
    say "making .venv with uv"
    uv venv --quiet --no-project --no-cache --python '>=3.11' "$venv"
    say "installing what requirements.lock names, by hash"
    uv pip install --quiet --no-cache --python "$python" --require-hashes --requirement "$root/requirements.lock"
    uv pip install --quiet --no-cache --python "$python" --no-deps --no-build-isolation --editable "$root"
}

make_with_pip() {
    local found=
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if is_new_enough "$candidate"; then found=$candidate; break; fi
    done
    [ -n "$found" ] || die "Python 3.11 or newer is needed, and neither it nor uv was found"
    say "making .venv with $("$found" --version) and pip"
    "$found" -m venv "$venv" ||
        die "$found cannot make a virtual environment: install its venv module (on Debian: python3-venv) or uv"
    say "installing what requirements.lock names, by hash"
    local pip=("$python" -m pip --quiet --disable-pip-version-check --no-cache-dir install)
    "${pip[@]}" --require-hashes --requirement "$root/requirements.lock"
    "${pip[@]}" --no-deps --no-build-isolation --editable "$root"
}

setup() {
    if [ -x "$python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(state)" ] && "$python" -c 'import dj_neuron' 2>/dev/null; then
        return
    fi
    [ -w "$root" ] || die "cannot write to $root, where .venv belongs"
    rm -rf -- "$venv"
    if command -v uv >/dev/null 2>&1; then make_with_uv; else make_with_pip; fi
    state >"$stamp"
    say "set up in $venv"
}

run_tests() {
    scratch=$(mktemp -d)
    trap 'rm -rf -- "$scratch"' EXIT
    cd -- "$root"
    say "running the tests"
    "$python" -m pytest --basetemp="$scratch/pytest" "$@"
}

run_benchmarks() {
    local peers=$venv/benchmarks pip
    if [ ! -x "$peers/bin/python" ] || ! "$peers/bin/python" -c 'import dj_neuron, pynapple, pyret, rfest' 2>/dev/null; then
        say "installing the packages to compare with"
        "$python" -m venv "$peers"
        pip=("$peers/bin/python" -m pip --quiet --disable-pip-version-check --no-cache-dir install)
        "${pip[@]}" --require-hashes --requirement "$root/requirements.lock" --requirement "$root/benchmarks/peers.lock"
        "${pip[@]}" --no-deps --no-build-isolation --editable "$root"
    fi
    "$peers/bin/python" "$root/benchmarks/run.py" "$@"
}

verb=${1:-demo}
[ $# -eq 0 ] || shift
setup
case $verb in
    setup) ;;
    test) run_tests "$@" ;;
    benchmark) run_benchmarks "$@" ;;
    *) say "running dj-neuron $verb"; PKG_SH=$(printf 'bash %q' "${BASH_SOURCE[0]}") exec "$venv/bin/dj-neuron" "$verb" "$@" ;;
esac
