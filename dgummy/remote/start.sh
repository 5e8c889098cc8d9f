# shellcheck shell=sh
# Start a run, at most once. See lib.sh for the files.
#
# Variables from the caller: DG_MACHINE (the boot id of the machine that was chosen, "" for any), DG_COMMAND, DG_DIR ("" for
# home), DG_SUBDIR, DG_WORKSPACE, DG_OWNER, DG_META (see lib.sh, "" for none), DG_TIMEOUT_S ("" for none), DG_KILL_S, DG_GAP_S
# ("" for none), DG_PATH_DIRS, DG_ENV_NAMES and a DG_E_NAME for each, DG_COLLECT (1: what is new counts as work), DG_SUPERVISOR
# (lib.sh, supervise.sh and what that needs, as text).

# void_run ID [WHY]: make sure that the run never starts. Prints "void" if that is so, "started" if it came too late.
void_run() {
    void_dir=$DG_STATE/runs/$1
    if ! (umask 077 && mkdir -p "$void_dir") 2>/dev/null; then
        fact failed "disk cannot write $void_dir"
        return 1
    fi
    # A supervisor writes proc before it takes launch: where there is launch and no proc, a client was here before us.
    if take "$void_dir/launch" || { [ -e "$void_dir/launch" ] && [ ! -s "$void_dir/proc" ]; }; then
        [ -s "$void_dir/void" ] || printf '%s' "${2:+$2$NL}" 2>/dev/null >"$void_dir/void"
    elif [ ! -f "$void_dir/void" ]; then
        fact started "$1"
        return 1
    fi
    rm -f "$DG_STATE/active/$1"
    fact void "$1"
}

# start_run ID: claim the run's folder and launch its supervisor; where the folder is there already, do nothing.
start_run() {
    run=$DG_STATE/runs/$1
    boot_id
    if [ -d "$run" ]; then
        attached
        return
    fi
    if [ -n "$DG_MACHINE" ] && [ "$DG_MACHINE" != "$BOOT" ] && [ "$BOOT" != unknown ]; then
        fact failed "machine it was chosen as one that booted as $DG_MACHINE, and this one booted as $BOOT"
        return 1
    fi
    if [ -n "$DG_WORKSPACE" ] && ! owns_workspace "$DG_WORKSPACE" "$1"; then
        fact failed "machine $DG_WORKSPACE is not, or no longer, held for this run here"
        return 1
    fi
    if [ -n "$DG_WORKSPACE" ] && tell_uncollected "$1"; then
        return 1
    fi
    resolve_dir "${DG_DIR:-~}"
    settle_dir || return
    if ! { [ -d "$DG_STATE/runs" ] && [ -d "$DG_STATE/active" ]; } &&
        ! (umask 077 && mkdir -p "$DG_STATE/runs" "$DG_STATE/active") 2>/dev/null; then
        fact failed "disk cannot write $DG_STATE"
        return 1
    fi
    if ! mkdir -m 700 "$run" 2>/dev/null; then
        if [ -d "$run" ]; then
            attached
            return
        fi
        fact failed "disk cannot write $run"
        return 1
    fi
    DG_NOW=$(date +%s)
    seconds_up
    # shellcheck disable=SC2034 # exported by name
    DG_UP=$UP
    if ! fill_run "$1"; then
        # Nothing was launched, and with `launch` taken nothing ever will be.
        void_run "$1" >/dev/null
        [ -z "$DG_WORKSPACE" ] || drop_work_mark "$1"
        fact failed "disk cannot write $run (is the disk full?)"
        return 1
    fi
    launch_supervisor "$1"
    fact run claimed
}

# attached: somebody else started it, and its supervisor knows nothing of us.
attached() {
    DG_FOLLOWER=
    fact run attached
}

# settle_dir: see that $DIR/$DG_SUBDIR is there. What has a workspace runs in it or nowhere. Other commands run in the
# project's folder if just the subfolder is missing, in the home folder if there is no project.
settle_dir() {
    if [ -d "$DIR/$DG_SUBDIR" ]; then
        return
    elif [ -n "$DG_WORKSPACE" ]; then
        [ -d "$DIR" ] && mkdir -p "$DIR/$DG_SUBDIR" 2>/dev/null && return
        fact failed "permission the folder $DIR/$DG_SUBDIR is not there"
        return 1
    elif [ -d "$DIR" ]; then
        fact no-subdir "$DIR/$DG_SUBDIR"
    else
        fact no-dir "$DIR"
        DIR=$HOME
    fi
    DG_SUBDIR=
}

# Nobody else gets into these folders, whatever the mode of a file. The mark in active is as long as the line that it
# becomes, so that the end can be written down even on a disk that the command has filled.
fill_run() {
    {
        printf '%s\n%s\n%s\n%s\n' "$DG_NOW" "$BOOT" "$DG_WORKSPACE" "$DG_OWNER" >"$run/claim" &&
            printf '%s' "$DG_COMMAND" >"$run/command" &&
            { [ -z "${DG_META-}" ] || printf '%s' "$DG_META" >"$run/meta"; } &&
            printf '%s' "$DG_SUPERVISOR" >"$run/supervisor" &&
            { [ -z "$DG_WORKSPACE" ] || mark_work "$1" "$DG_OWNER"; } &&
            true >"$run/out" && true >"$run/err" && printf '%79s\n' '' >"$DG_STATE/active/$1"
    } 2>/dev/null
}

# The supervisor gets what it needs in its environment: values of --env never touch a disk or an argument list.
launch_supervisor() {
    (
        # shellcheck disable=SC2034 # exported below, by name
        DG_RUN=$run DG_ID=$1 DG_DIR=$DIR DG_ENV_NAMES="$DG_ENV_NAMES ${DG_KEEP-}" DG_FOLLOWER=${DG_FOLLOWER-}
        for name in DG_STATE DG_ROOT DG_RUN DG_ID DG_COMMAND DG_DIR DG_SUBDIR DG_WORKSPACE DG_TIMEOUT_S DG_KILL_S DG_GAP_S \
            DG_PATH_DIRS DG_ENV_NAMES DG_NOW DG_UP DG_FOLLOWER DG_COLLECT; do
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
