# shellcheck shell=sh
# Start a run, at most once. See lib.sh for the files.
#
# Variables from the caller: DG_COMMAND, DG_DIR ("" for home), DG_SUBDIR, DG_WORKSPACE, DG_OWNER, DG_TIMEOUT_S ("" for none),
# DG_KILL_S, DG_GAP_S ("" for none), DG_PATH_DIRS, DG_ENV_NAMES and a DG_E_NAME for each, DG_SUPERVISOR (lib.sh, workspace.sh
# and supervise.sh as text).

# void_run ID: make sure that the run never starts. Prints "void" if that is so, "started" if it came too late.
void_run() {
    if ! (umask 077 && mkdir -p "$DG_STATE/runs/$1") 2>/dev/null; then
        fact failed "disk cannot write $DG_STATE/runs/$1"
        return 1
    fi
    if mkdir "$DG_STATE/runs/$1/launch" 2>/dev/null; then
        : >"$DG_STATE/runs/$1/void"
    fi
    if [ -f "$DG_STATE/runs/$1/void" ]; then
        rm -f "$DG_STATE/active/$1"
        fact void "$1"
    else
        fact started "$1"
        return 1
    fi
}

# start_run ID: claim the run's folder and launch its supervisor; where the folder is there already, do nothing.
start_run() {
    run=$DG_STATE/runs/$1
    boot_id
    if [ -d "$run" ]; then
        fact run attached
        return
    fi
    resolve_dir "${DG_DIR:-~}"
    if [ ! -d "$DIR/$DG_SUBDIR" ]; then
        fact no-dir "$DIR/$DG_SUBDIR"
        DIR=$HOME DG_SUBDIR=
    fi
    if ! (umask 077 && mkdir -p "$DG_STATE/runs" "$DG_STATE/active") 2>/dev/null; then
        fact failed "disk cannot write $DG_STATE"
        return 1
    fi
    if ! (umask 077 && mkdir "$run") 2>/dev/null; then
        if [ -d "$run" ]; then
            fact run attached
            return
        fi
        fact failed "disk cannot write $run"
        return 1
    fi
    if ! fill_run "$1"; then
        # Nothing was launched, and with `launch` taken nothing ever will be.
        mkdir "$run/launch" 2>/dev/null
        : >"$run/void"
        fact failed "disk cannot write $run (is the disk full?)"
        return 1
    fi
    launch_supervisor "$1"
    fact run claimed
}

fill_run() {
    (
        umask 077
        printf '%s\n%s\n%s\n%s\n' "$(date +%s)" "$BOOT" "$DG_WORKSPACE" "$DG_OWNER" >"$run/claim" &&
            printf '%s' "$DG_COMMAND" >"$run/command" &&
            printf '%s' "$DG_SUPERVISOR" >"$run/supervisor" &&
            : >"$run/out" && : >"$run/err" && : >"$DG_STATE/active/$1"
    )
}

# The supervisor gets what it needs in its environment: values of --env never touch a disk or an argument list.
launch_supervisor() {
    (
        # shellcheck disable=SC2034 # exported below, by name
        DG_RUN=$run DG_ID=$1 DG_DIR=$DIR
        for name in DG_STATE DG_ROOT DG_RUN DG_ID DG_COMMAND DG_DIR DG_SUBDIR DG_WORKSPACE DG_TIMEOUT_S DG_KILL_S DG_GAP_S \
            DG_PATH_DIRS DG_ENV_NAMES; do
            export "${name?}"
        done
        for name in $DG_ENV_NAMES; do
            export "DG_E_$name"
        done
        if have setsid; then
            exec setsid sh "$run/supervisor"
        elif have perl; then
            exec perl -e 'use POSIX (); POSIX::setsid(); exec { $ARGV[0] } @ARGV' sh "$run/supervisor"
        fi
        exec sh "$run/supervisor"
    ) </dev/null >/dev/null 2>"$run/supervisor.log" &
}
