# Finds a Python and makes the environment at first use. POSIX sh; sourced by bin/hailong and bin/test.
#
# In:  root    the repository
# Out: home    where what is fetched once is kept (HAILONG_HOME, else .hailong in the repository)
#      venv    the environment (in HAILONG_HOME, else .venv in the repository)
#      python  its interpreter
# `environment LOCKFILE` returns when the environment holds what LOCKFILE names, or ends the script with a sentence on stderr.

say() { printf '%s\n' "$*" >&2; }
refuse() {
    say "$*"
    exit 1
}

places() {
    if [ -n "${HAILONG_HOME:-}" ]; then
        case $HAILONG_HOME in /*) home=$HAILONG_HOME ;; *) home=$(pwd -P)/$HAILONG_HOME ;; esac
        venv=$home/.venv
    else
        home=$root/.hailong
        venv=$root/.venv
    fi
    python=$venv/bin/python
    stamp=$venv/hailong.stamp   # "LOCKFILE SHA256 PYTHON", written last
    making=$venv/hailong.making # there while the environment is being made: found by another start, it was interrupted
}

sha256() {
    if command -v sha256sum >/dev/null 2>&1; then
        sha256sum "$1" | cut -d' ' -f1
    else
        shasum -a 256 "$1" | cut -d' ' -f1
    fi
}

# The version of an interpreter as 3.11; fails when it does not run (a launcher may stand there without an interpreter behind it).
version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

find_python() {
    seen=
    for candidate in "${HAILONG_PYTHON:-}" python3.13 python3.12 python3.11 python3 python; do
        [ -n "$candidate" ] || continue
        found=$(version "$candidate") || continue
        case $found in
        3.1[1-9] | 3.[2-9][0-9])
            base=$candidate
            return
            ;;
        esac
        seen="$seen $candidate ($found)"
    done
    refuse "hailong needs Python 3.11 or newer, and none was found${seen:+; too old:$seen}." \
        "Install one (Debian, Ubuntu: apt-get install python3 python3-venv), or let HAILONG_PYTHON name one, and start again."
}

# Whether the environment holds LOCKFILE as it is now. One made for development holds everything.
stands() {
    [ -f "$stamp" ] && [ ! -e "$making" ] && [ -x "$python" ] || return 1
    now=$(version "$python") || return 1
    read -r made_from made_hash made_version <"$stamp" || return 1
    case $made_from in "$1" | requirements-dev.lock) ;; *) return 1 ;; esac
    [ "$made_version" = "$now" ] && [ "$made_hash" = "$(sha256 "$root/$made_from")" ]
}

# One start at a time. A folder is made by one process only; a holder that has died is pushed aside.
lock=
unlock() { [ -z "$lock" ] || rm -rf "$lock"; }
take_lock() {
    wanted=$venv.lock
    mkdir -p "$(dirname "$venv")" 2>/dev/null && [ -w "$(dirname "$venv")" ] ||
        refuse "The environment cannot be made in $(dirname "$venv"): no right to write there." \
            "Give this user that right, or let HAILONG_HOME name a folder of your own, and start again."
    told=
    until mkdir "$wanted" 2>/dev/null; do
        holder=$(cat "$wanted/pid" 2>/dev/null) || holder=
        if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null; then
            mv "$wanted" "$wanted.$$" 2>/dev/null && rm -rf "$wanted.$$"
            continue
        fi
        [ -n "$told" ] || say "Another start is making the environment${holder:+ (process $holder)}; waiting for it."
        told=yes
        sleep 1
    done
    lock=$wanted
    echo $$ >"$lock/pid"
    trap unlock EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

run_pip() {
    if [ "$pip_in" = environment ]; then
        "$python" -m pip "$@"
    else
        "$base" -m pip --python "$python" "$@"
    fi
}

# A new environment with pip in it. Debian parts the venv module from Python; with pip beside it, it can still be done.
create() {
    rm -rf "$venv"
    say "Making the environment of hailong in $venv (Python $(version "$base")); this happens once."
    fresh=yes
    mkdir "$venv" && : >"$making"
    if "$base" -m venv "$venv" >/dev/null 2>&1; then
        pip_in=environment
    elif "$base" -m venv --without-pip "$venv" >/dev/null 2>&1 && "$base" -m pip --version >/dev/null 2>&1; then
        pip_in=base
    else
        rm -rf "$venv"
        refuse "Python $(version "$base") ($base) is there, but it cannot make an environment: its module venv is not whole." \
            "Install it (Debian, Ubuntu: apt-get install python$(version "$base")-venv) and start again."
    fi
}

install() {
    : >"$making"
    if run_pip install --require-hashes --no-input --disable-pip-version-check --retries 2 -r "$root/$1" >&2; then
        echo "$1 $(sha256 "$root/$1") $(version "$python")" >"$stamp"
        rm -f "$making"
    else
        # pip fetches everything before it changes anything: an environment that stood before still stands.
        [ -n "$fresh" ] || rm -f "$making"
        return 1
    fi
}

# Why pip failed, in a sentence.
explain() {
    if run_pip download --no-deps --no-cache-dir --retries 0 --timeout 10 -d "$venv/probe" wheel >/dev/null 2>&1; then
        refuse "The environment could not be completed, though the network is there; pip's own words stand above." \
            "Start again once that is mended; it begins anew."
    fi
    refuse "The environment of hailong is not set up yet, and the packages it is made of could not be fetched: no network, or a proxy in the way." \
        "Connect this machine for the first start (pip's own words stand above) and start again; afterwards no network is needed."
}

environment() {
    places
    stands "$1" && return
    take_lock
    stands "$1" && { unlock; lock=; return; } # the one we waited for has made it
    fresh=
    if [ -e "$making" ] || ! version "$python" >/dev/null; then
        find_python
        create
    elif "$python" -m pip --version >/dev/null 2>&1; then
        pip_in=environment
    else
        find_python
        pip_in=base
    fi
    install "$1" || explain
    # The broker's jars come from another repository, which some networks close: then `up` refuses, and the rest works.
    PYTHONPATH=$root "$python" -P -m ops.local.jars fetch "$home/kafka/jars" || say "(Everything but \`up\` and \`demo\` works without them.)"
    unlock
    lock=
    trap - EXIT INT TERM HUP
}
