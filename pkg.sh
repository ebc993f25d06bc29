#!/usr/bin/env bash
# Set dj-neuron up in .venv beside this file and run it: bash pkg.sh [setup | test | docs | benchmark | peers | docker | VERB ...]; no verb is "demo".
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
    { printf '%s\n' "$root"; cat "$root/requirements.lock" "$root/requirements-dev.lock" "$root/pyproject.toml"; } | cksum
}

lock_of() { case $1 in everything) echo requirements-dev.lock ;; *) echo requirements.lock ;; esac; }

find_python() {
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if is_new_enough "$candidate"; then echo "$candidate"; return; fi
    done
    die "Python 3.11 or newer is needed, and neither it nor uv was found"
}

# an environment in folder $1 with what the locks after it name, by hash, and this checkout
make_with_uv() {
    local folder=$1 lock locks=()
    shift
    for lock in "$@"; do locks+=(--requirement "$root/$lock"); done
    [ -x "$folder/bin/python" ] || uv venv --quiet --no-project --no-cache --python '>=3.11' "$folder" || return
    uv pip install --quiet --no-cache --python "$folder/bin/python" --require-hashes "${locks[@]}" || return
    env -u UV_COMPILE_BYTECODE uv pip install --quiet --no-cache --python "$folder/bin/python" --no-deps \
        --no-build-isolation --editable "$root"
}

make_with_pip() {
    local folder=$1 found lock locks=()
    shift
    for lock in "$@"; do locks+=(--requirement "$root/$lock"); done
    if ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then # uv leaves it out
        found=$(find_python)
        "$found" -m venv --clear "$folder" ||
            die "$found cannot make a virtual environment: install its venv module (on Debian: python3-venv) or uv"
    fi
    local pip=("$folder/bin/python" -m pip --quiet --disable-pip-version-check --no-cache-dir install)
    "${pip[@]}" --require-hashes "${locks[@]}"
    "${pip[@]}" --no-deps --no-build-isolation --editable "$root"
}

make_environment() {
    if command -v uv >/dev/null 2>&1; then
        say "installing what $(printf '%s\n' "${@:2}" | paste -s -d' ') names into $1, with uv"
        if make_with_uv "$@"; then return; fi
        say "uv could not; trying pip" # which may know of an index that uv was not told of
    fi
    say "installing what $(printf '%s\n' "${@:2}" | paste -s -d' ') names into $1, with pip"
    make_with_pip "$@"
}

# setup what-runs: what the verbs need; setup everything: what tests and documentation need, too
setup() {
    local wanted=$1 found=nothing
    if [ -x "$python" ] && "$python" -c 'import dj_neuron' 2>/dev/null; then
        case $(cat "$stamp" 2>/dev/null) in
            "$(state) everything") return ;;
            "$(state) what-runs") found=what-runs ;;
        esac
    fi
    [ "$found" != "$wanted" ] || return 0
    [ -w "$root" ] || die "cannot write to $root, where .venv belongs"
    [ "$found" != nothing ] || rm -rf -- "$venv"
    # compiled now, as pip does: where Python may not write bytecode, every start would take seconds
    UV_COMPILE_BYTECODE=1 make_environment "$venv" "$(lock_of "$wanted")"
    "$python" -m compileall -q "$root/src" # what is editable nobody compiles
    printf '%s %s\n' "$(state)" "$wanted" >"$stamp"
    say "set up in $venv"
}

run_tests() {
    scratch=$(mktemp -d)
    trap 'rm -rf -- "$scratch"' EXIT
    cd -- "$root"
    say "running the tests"
    # all tests: on all cores, and one more while others wait for servers and browsers
    [ $# -gt 0 ] || set -- --numprocesses="$(($(nproc) + 1))" --dist=loadfile --no-loadscope-reorder
    "$python" -m pytest --basetemp="$scratch/pytest" "$@"
}

build_docs() {
    "$python" -m sphinx -W -q -b html -d "$root/build/doctrees" "$root/docs" "$root/build/docs"
    printf '%s\n' "$root/build/docs/index.html"
}

# the packages that benchmarks and a page of the documentation compare with, in an environment of their own
setup_peers() {
    local peers=$venv/benchmarks
    "$peers/bin/python" -c 'import dj_neuron, pynapple, pyret, rfest' 2>/dev/null ||
        make_environment "$peers" requirements.lock benchmarks/peers.lock
}

run_benchmarks() {
    setup_peers
    "$venv/benchmarks/bin/python" "$root/benchmarks/run.py" "$@"
}

# Keep what is in .env, but for these: NAME=VALUE ...
write_env() {
    local file=$root/.env kept
    kept=$(grep -v -E "^($(printf '%s\n' "$@" | cut -d= -f1 | paste -s -d'|'))=" "$file" 2>/dev/null || true)
    printf '%s\n' ${kept:+"$kept"} "$@" >"$file"
}

# Who the containers are: whoever calls, so that folders and the password are theirs.
container_user() {
    if docker info --format '{{.SecurityOptions}}' 2>/dev/null | grep -q rootless; then
        echo 0:0 # root of a rootless Docker is its caller
    elif [ "$(id -u)" -eq 0 ]; then
        echo 1000:1000
    else
        echo "$(id -u):$(id -g)"
    fi
}

make_password() {
    local file=$root/.secrets/docker-database.password
    [ -d "$root/.secrets" ] || mkdir -m 700 -- "$root/.secrets"
    [ -s "$file" ] || (umask 077 && head -c 24 /dev/urandom | base64 | tr '+/' '-_' >"$file")
}

# docker [--build] [--debian]: a database, workers, the explorer and a watched folder, with Docker alone
run_docker() {
    local variant=alpine wants_build='' user address
    while [ $# -gt 0 ]; do
        case $1 in
            --build) wants_build=yes ;;
            --debian) variant=debian ;;
            *) die "docker takes --build and --debian, got $1" ;;
        esac
        shift
    done
    command -v docker >/dev/null 2>&1 || die "docker was not found: install Docker Engine, or Docker Desktop, first"
    docker compose version >/dev/null 2>&1 || die "docker has no Compose: install its plugin (docker-compose-plugin) first"
    docker info >/dev/null 2>&1 || die "docker does not answer: start its daemon, and see that you may use it (docker info)"
    cd -- "$root"
    user=$(container_user)
    mkdir -p -- input output scripts
    make_password
    write_env "DJ_NEURON_USER=$user" "DJ_NEURON_VARIANT=$variant"
    if [ "$(id -u)" -eq 0 ] && [ "$user" != 0:0 ]; then
        chown -- "$user" input output scripts .secrets/docker-database.password
    fi
    if [ -n "$wants_build" ] || ! docker compose pull --quiet worker 2>/dev/null; then
        say "building the image from this checkout"
        docker compose build worker
    fi
    docker compose up --detach --wait
    address=$(docker compose port explorer 8050)
    printf '%s\n' "" "The explorer:  http://$address/" "" "Next:" \
        "  put a recording into $root/input: it is read and computed (docker compose logs --follow ingest worker)" \
        "  docker compose run --rm client status" \
        "  docker compose run --rm client figures --out /output/pictures" \
        "  docker compose up --detach --scale worker=4" \
        "  docker compose down    ends it and keeps everything"
}

verb=${1:-demo}
[ $# -eq 0 ] || shift
case $verb in
    docker) run_docker "$@"; exit ;;
    setup | test | docs) setup everything ;;
    *) setup what-runs ;;
esac
case $verb in
    setup) ;;
    test) run_tests "$@" ;;
    docs) build_docs ;;
    peers) setup_peers ;;
    benchmark) run_benchmarks "$@" ;;
    *) say "running dj-neuron $verb"; PKG_SH=$(printf 'bash %q' "${BASH_SOURCE[0]}") exec "$venv/bin/dj-neuron" "$verb" "$@" ;;
esac
