#!/bin/sh
# setup.sh demo|test: makes what `make demo` or `make test` needs and is not there: programs from the system's package
# manager, and the virtual environment .venv with this project in it. Says what it installs before it does.
# Where all is in place it takes a moment and no network.
#
# PYTHON names the interpreter to use.
set -eu
unset CDPATH
cd -- "$(dirname -- "$0")/.."

case ${1-} in
demo | test) purpose=$1 ;;
*)
    echo "usage: setup.sh demo|test" >&2
    exit 64
    ;;
esac
# An ordinary user's PATH lacks these, and sshd and ip are there. Last, so that nothing of the user's is hidden.
PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin
export PATH
venv=.venv
good_python='import sys; sys.exit(sys.version_info < (3, 10))'

say() { printf 'setup: %s\n' "$*" >&2; }
indented() { printf '       %s\n' "$@"; }
die() {
    say "$1"
    shift
    indented "$@" >&2
    exit 1
}
have() {
    case $1 in
    *-venv) can_make_venv ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}
words() { tr '\n' ' ' | sed 's/ *$//'; }

# --- programs -------------------------------------------------------------------------------------------------------

# Program, Debian's package, Homebrew's formula (- if there is none), and whether nothing goes without it.
programs() {
    cat <<'END'
ssh openssh-client openssh must
sshd openssh-server openssh must
rsync rsync rsync must
git git git must
END
    [ -z "$venv_package" ] || echo "$venv_package $venv_package - must"
    [ "$purpose" = demo ] || cat <<'END'
shellcheck shellcheck shellcheck -
busybox busybox - -
dash dash dash -
fish fish fish -
zsh zsh zsh -
csh csh - -
tmux tmux tmux -
cron cron - -
chromium chromium - -
ip iproute2 - -
ps procps - -
setpriv util-linux - -
unshare util-linux - -
END
}

# missing COLUMN [must]: that column of every program that is not there, or only of those that must be.
missing() {
    programs | while read -r program debian brew need; do
        if have "$program" || [ "$need" != "${2-$need}" ]; then continue; fi
        case $1 in
        program) echo "$program" ;;
        debian) echo "$debian" ;;
        brew) [ "$brew" = - ] || echo "$brew" ;;
        esac
    done | sort -u | words
}

package_manager() {
    if [ "$(uname -s)" = Darwin ]; then
        if have brew; then echo brew; else echo none-mac; fi
    elif have apt-get; then
        if may_be_root; then echo apt; else echo apt-by-hand; fi
    else
        echo none
    fi
}

may_be_root() { [ "$(id -u)" -eq 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }
as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi; }

# quietly COMMAND…: its output only if it fails.
quietly() {
    log=$(mktemp)
    code=0
    "$@" >"$log" 2>&1 </dev/null || code=$?
    [ "$code" -eq 0 ] || cat "$log" >&2
    rm -f "$log"
    return "$code"
}

apt_get() {
    quietly as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
        apt-get -y -o DPkg::Lock::Timeout=300 "$@"
}

# install_apt PACKAGE…
install_apt() {
    case " $* " in *" openssh-server "*) hold_back_sshd ;; esac
    if [ -z "${apt_updated-}" ]; then
        say "running apt-get update"
        apt_get update || say "apt-get update failed; going on with the lists that are there"
        apt_updated=yes
    fi
    apt_get install --no-install-recommends "$@" || {
        have sshd || drop_switch
        return 1
    }
}

# Debian starts its sshd on port 22 as soon as the package is there, and at every boot. Its unit files and its init
# script leave that if this file exists (README.Debian of openssh-server); the lab's own sshds do not look at it.
hold_back_sshd() {
    switch=/etc/ssh/sshd_not_to_be_run
    [ ! -e "$switch" ] || return 0
    say "making $switch first: it keeps the system's own sshd from starting on port 22"
    say "  (if you want that sshd some day: sudo rm $switch; sudo service ssh start)"
    as_root mkdir -p /etc/ssh
    echo "Made by dgummy's setup.sh, which needs the program sshd but no service. Remove it to let sshd start." |
        as_root tee "$switch" >/dev/null
    switch_is_new=yes
}
drop_switch() { [ -z "${switch_is_new-}" ] || as_root rm -f /etc/ssh/sshd_not_to_be_run; }

ensure_programs() {
    absent=$(missing program)
    [ -n "$absent" ] || return 0
    # What could not be had the last time is not tried again every time, which may well be without a network.
    if [ -z "$(missing program must)" ] && [ "$(cat "$venv/.setup-without" 2>/dev/null)" = "$absent" ]; then
        say "without $absent: tests that need them are skipped"
        return 0
    fi
    case $(package_manager) in
    apt)
        packages=$(missing debian)
        say "installing with apt-get: $packages"
        # shellcheck disable=SC2086 # a list of words
        install_apt $packages || for package in $packages; do install_apt "$package" || true; done
        ;;
    brew)
        packages=$(missing brew)
        if [ -n "$packages" ]; then
            say "installing with brew: $packages"
            # shellcheck disable=SC2086
            brew install $packages >&2 </dev/null || true
        fi
        ;;
    apt-by-hand) why=', and I may not install here (not root, and no sudo without a password)' ;;
    none-mac) why=', and there is no Homebrew (https://brew.sh) to install with' ;;
    none) why=', and there is neither apt-get nor brew to install with' ;;
    esac
    judge_programs
}

# After the attempt: what is still missing ends it, or is left to the tests to skip.
judge_programs() {
    still=$(missing program)
    [ -n "$still" ] || return 0
    needed=$(missing program must)
    if [ -n "$needed" ]; then
        say "missing: $still${why-}"
        say "make $purpose does not go without $needed. To install all of it:"
        advice
        exit 1
    fi
    say "going on without $still: tests that need them are skipped${why-}. To install them:"
    advice
}

advice() {
    case $(package_manager) in
    apt-by-hand | apt)
        have sshd || indented "sudo install -D /dev/null /etc/ssh/sshd_not_to_be_run   # or sshd starts on port 22"
        indented "sudo apt-get install --no-install-recommends $(missing debian)"
        ;;
    brew | none-mac) indented "brew install $(missing brew)" ;;
    *) indented "the packages of your system that have $(missing program)" ;;
    esac >&2
}

# --- Python ---------------------------------------------------------------------------------------------------------

# The first interpreter that is new enough. It is run, not only looked up: a pyenv shim may stand for nothing.
find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.10; do
        if "$candidate" -c "$good_python" >/dev/null 2>&1; then
            command -v "$candidate"
            return 0
        fi
        if [ -n "${PYTHON-}" ]; then return 1; fi
    done
    return 1
}

ensure_python() {
    python=$(find_python) && return 0
    if [ -n "${PYTHON-}" ]; then
        die "PYTHON=$PYTHON is no Python 3.10 or newer" "Name one that is, or leave PYTHON out."
    fi
    if [ "$(package_manager)" = brew ]; then
        say "installing with brew: python@3.13 (python3 is older than 3.10)"
        brew install python@3.13 >&2 </dev/null || true
        python=$(find_python) && return 0
    fi
    found=$(python3 --version 2>&1) || found="no python3"
    die "Python 3.10 or newer is needed, and here is $found" \
        "Install one so that python3.13, python3.12, python3.11 or python3.10 is on PATH (your system's packages," \
        "https://www.python.org/downloads/, pyenv or uv), or name it: make $purpose PYTHON=/path/to/python3"
}

can_make_venv() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }

# Debian keeps what makes a virtual environment in a package of its own: its name if that is missing.
find_venv_package() {
    if can_make_venv; then return 0; fi
    case $("$python" -c 'import sys; print(sys.base_prefix)'):$(package_manager) in
    /usr:apt*) ;;
    *) die "$python has no ensurepip, so it cannot make a virtual environment" "Use another: make $purpose PYTHON=…" ;;
    esac
    version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    venv_package=$version-venv
    [ "$(readlink -f /usr/bin/python3 2>/dev/null)" != "/usr/bin/$version" ] || venv_package=python3-venv
}

# What the environment was made from; another line there means that it has to be made anew.
stamp() { printf '%s %s\n' "$(cksum <pyproject.toml)" "$(pwd)"; }
stamp_says() { [ "$(cat "$venv/.setup-$1" 2>/dev/null)" = "$(stamp)" ]; }

# An upgrade of the system's Python leaves an interpreter that runs, but looks for its packages elsewhere.
good_venv='import sys; sys.exit(sys.version_info < (3, 10) or sys.prefix + "/lib" not in " ".join(sys.path))'
venv_works() { [ -x "$venv/bin/python" ] && "$venv/bin/python" -c "$good_venv" 2>/dev/null; }

venv_is_ready() {
    if ! stamp_says test; then
        [ "$purpose" = demo ] && stamp_says demo || return 1
    fi
    venv_works
}

# requirements KEY: the names in a list of pyproject.toml.
requirements() { sed -n "/^$1 = \[/,/^]/s/^  \"\([A-Za-z0-9_.-]*\).*/\1/p" pyproject.toml | words; }

# Whether there is an environment to install into: it may be half done, but not another Python's or folder's.
venv_is_usable() {
    venv_works && "$venv/bin/python" -m pip --version >/dev/null 2>&1 && ! stamped_elsewhere
}

make_venv() {
    [ ! -e "$venv" ] || say "$venv cannot be used as it is: making it anew"
    say "making a virtual environment in $venv with $("$python" --version) ($python)"
    "$python" -m venv --clear "$venv" || die "that failed; what Python said is above"
}

fill_venv() {
    target=.
    packages=$(requirements dependencies)
    if [ "$purpose" = test ]; then
        target='.[dev]'
        packages="$packages $(requirements dev)"
    fi
    say "installing into $venv with pip: this project, and $packages (with what these need)"
    rm -f "$venv"/.setup-demo "$venv"/.setup-test
    # Python 3.10.0 to 3.10.3 bring a pip that cannot install a project in place.
    { pip_install 'pip>=21.3' && pip_install --editable "$target"; } ||
        die "pip could not install the Python packages; what it said is above" \
            "It needs a package index: check the network, or pip's configuration. Then run make $purpose again."
    stamp >"$venv/.setup-$purpose"
}

# Whether the environment was made in another folder, and moved or copied here: its scripts name that one.
stamped_elsewhere() { cat "$venv"/.setup-demo "$venv"/.setup-test 2>/dev/null | grep -qvF " $(pwd)"; }

pip_install() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2 </dev/null; }

venv_package=
if venv_is_ready; then state=ready; elif venv_is_usable; then state=usable; else
    state=none
    ensure_python
    find_venv_package
fi
ensure_programs
[ "$state" != none ] || make_venv
[ "$state" = ready ] || fill_venv
[ "$purpose" = demo ] || missing program >"$venv/.setup-without"
