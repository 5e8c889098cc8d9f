# shellcheck shell=sh
# shellcheck disable=SC2034 # what a function sets, its caller reads
# Shared by every script that runs on a host. POSIX sh; tried under dash, bash and BusyBox. Defines, runs nothing.
#
# What a host remembers, all below $DG_STATE:
#   runs/ID/           one run, owned by whoever made the folder
#     claim            four lines: claimed (epoch seconds), boot id, workspace ("" for none), owner
#     command          the command, byte for byte
#     meta             two lines: its kind, and as JSON what else a client that lost its ledger would want to know. Maybe none
#     proc             supervisor pid and start, then command pid and start: "PID START PID START". The second half is
#                      added once the command was started; empty while it is being made
#     launched         when the command was started (epoch seconds)
#     verify           exit code of the --verify command, if there was one
#     launch           whoever makes this decides: the supervisor to start the command, a client to void the run.
#                      A supervisor writes proc before: launch without proc is a client's
#     void             there if it was voided: the command never started and never will; "cancelled" if that was asked for
#     out, err         what the command printed
#     cancel           there if someone asked for the end
#     began            made after the last sync and before the command: what is newer, the run may have changed (work.sh)
#     work             how many names it changed in its workspace; clock: there if the clock cannot tell
#     collected        there once that was brought home ("collected") or given up ("discarded")
#     exit             "CODE REASON EPOCH" once it is over; REASON is exited, timed_out or cancelled
#   active/ID          there while a run may be alive; what a probe looks through. What becomes exit in the end
#   login-path         what the login shell said of PATH lately: when, to which shell and PATH, what
#   workspaces/KEY/    one project folder: path, sent (what was last synced to it), sent.id, lock/, uncollected, last
#                      (see workspace.sh), collected-head (see collect.sh); of a copy for one run also isolated and inode
#                      (see isolate.sh)
#   workspaces.log     which copies were taken away, when and why
#
# Variables that a caller may set: MARK (always), DG_ROOT (stands in for / when the machine is looked at).

DG_STATE=${DG_STATE:-$HOME/.local/state/dgummy}
DG_ROOT=${DG_ROOT-}
NL='
'

# fact NAME VALUE: one marked line. A newline in VALUE becomes a blank.
fact() {
    case $2 in
    *"$NL"*) set -- "$1" "$(printf '%s' "$2" | tr '\n' ' ')" ;;
    esac
    printf '%s %s %s\n' "$MARK" "$1" "$2"
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# on_path PROGRAM: sets FOUND to where it is. Fails if it is nowhere. (To read what command -v says would take a fork.)
on_path() {
    FOUND=
    on_path_ifs=$IFS
    IFS=:
    set -f
    for on_path_dir in $PATH; do
        FOUND=${on_path_dir:-.}/$1
        [ ! -f "$FOUND" ] || [ ! -x "$FOUND" ] || break
        FOUND=
    done
    set +f
    IFS=$on_path_ifs
    [ -n "$FOUND" ]
}

# take FILE: make it, unless it is there: of several that try at once, one succeeds. (With -C shells open with O_EXCL.)
take() {
    set -C
    true 2>/dev/null >"$1"
    take_status=$?
    set +C
    return "$take_status"
}

# seconds_up: sets UP to how long the machine has been up, "" if it does not tell that without a fork.
seconds_up() {
    UP=
    { read -r UP </proc/uptime; } 2>/dev/null
    UP=${UP%%.*}
    case $UP in
    *[!0-9]*) UP= ;;
    esac
}

# Sets BOOT to something that changes when the machine is restarted. (On macOS the boot time moves when the clock is set.)
boot_id() {
    BOOT=
    if [ -r "$DG_ROOT/proc/sys/kernel/random/boot_id" ]; then
        read -r BOOT <"$DG_ROOT/proc/sys/kernel/random/boot_id"
    elif have sysctl; then
        BOOT=$({ sysctl -n kern.bootsessionuuid || sysctl -n kern.boottime; } 2>/dev/null | tr -cd '0-9A-Fa-f')
    fi
    BOOT=${BOOT:-unknown}
}

# proc_start PID: sets START to when that process began, so that a reused pid is not taken for it. Fails if it is gone.
proc_start() {
    START=
    if [ -r "/proc/$1/stat" ]; then
        read -r START <"/proc/$1/stat" 2>/dev/null || return 1
        START=${START##*) }
        # shellcheck disable=SC2086 # split into fields on purpose: state is the first, start time the twentieth
        set -- $START
        [ "$1" != Z ] || return 1
        shift 19
        START=$1
    elif [ -d /proc/self ]; then
        return 1
    else
        START=$(ps -o lstart= -p "$1" 2>/dev/null | tr -s ' ' '_')
        [ -n "$START" ]
    fi
}

# is_process PID START: whether that very process is alive.
is_process() {
    [ -n "$1" ] && proc_start "$1" && [ "$START" = "$2" ]
}

# group_alive PGID: whether a process group has a member that is not just a zombie waiting for a slow init.
group_alive() {
    kill -0 "-$1" 2>/dev/null || return 1
    group_members=$({ ps -A -o pgid= -o stat= || ps -o pgid,stat; } 2>/dev/null) || return 0
    printf '%s\n' "$group_members" | {
        while read -r member_group member_state; do
            case $member_group:$member_state in
            "$1":Z*) : ;;
            "$1":*) exit 0 ;;
            esac
        done
        exit 1
    }
}

# limited SECONDS COMMAND…: run it, without input, but not for longer: then it is killed with all that it started. What it
# leaves behind when it ends by itself stays. Its output must go to a file: a pipe may be held open for ever.
limited() {
    limit_s=$1 limit_group=-
    shift
    if have setsid; then
        set -- setsid "$@"
    elif have perl; then
        # shellcheck disable=SC2016 # perl's own variables
        set -- perl -e 'setpgrp; exec { $ARGV[0] } @ARGV; exit 127' "$@"
    else
        limit_group=
    fi
    "$@" </dev/null &
    limited_pid=$!
    (
        while [ "$limit_s" -gt 0 ]; do # by seconds: killed, we leave a sleep behind
            sleep 1
            limit_s=$((limit_s - 1))
        done
        kill -KILL "$limit_group$limited_pid"
    ) </dev/null >/dev/null 2>&1 &
    limit_pid=$!
    wait "$limited_pid"
    limited_status=$?
    while kill -0 "$limited_pid" 2>/dev/null; do # a signal that the caller traps ends the wait
        wait "$limited_pid"
        limited_status=$?
    done
    {
        kill "$limit_pid"
        wait "$limit_pid"
    } 2>/dev/null
    return "$limited_status"
}

# resolve_dir DIR: sets DIR to an absolute path; ~/ is the home folder here.
resolve_dir() {
    # shellcheck disable=SC2088 # the tilde is literal: it stands for the home folder of this host
    case $1 in
    '~') DIR=$HOME ;;
    '~/'*) DIR=$HOME/${1#'~/'} ;;
    /*) DIR=$1 ;;
    *) DIR=$HOME/$1 ;;
    esac
}

# Sets LOGIN_PATH to the PATH of the user's login shell (a non-interactive SSH shell often lacks Homebrew, npm, …), or to
# our own where the login shell does not tell within five seconds (LOGIN_TOLD is yes where it did). What it told is kept for
# known_login_path.
login_path() {
    LOGIN_PATH=
    [ -d "$DG_STATE" ] || (umask 077 && mkdir -p "$DG_STATE")
    login_file=$DG_STATE/login-path.$$
    true 2>/dev/null >"$login_file.began"
    true 2>/dev/null >"$login_file"
    (
        # A profile may start something that stays (an agent for keys, say): it must not keep the values of --env.
        for login_name in ${DG_ENV_NAMES-}; do
            unset "DG_E_$login_name"
        done
        # What a profile prints goes nowhere: it may never stop.
        DG_TELL=$login_file
        export DG_TELL
        # shellcheck disable=SC2016 # expanded by the inner shell
        limited 5 "${SHELL:-/bin/sh}" -l -c '/bin/sh -c '\''printf "dg-path %s\n" "$PATH" >"$DG_TELL"'\'
    ) </dev/null >/dev/null 2>&1
    while read -r login_word login_rest; do
        [ "$login_word" = dg-path ] && LOGIN_PATH=$login_rest
    done 2>/dev/null <"$login_file"
    LOGIN_TOLD=${LOGIN_PATH:+yes}
    # What is newer than our beginning may have been read before it changed. What changes later is newer than this file.
    if [ -n "$LOGIN_PATH" ] &&
        printf '%s\n' "${DG_NOW:-$(date +%s)}" "${SHELL-} $PATH" "$LOGIN_PATH" 2>/dev/null >"$login_file" &&
        login_unchanged "$login_file.began"; then
        mv "$login_file" "$DG_STATE/login-path"
    fi
    rm -f "$login_file" "$login_file.began"
    LOGIN_PATH=${LOGIN_PATH:-$PATH}
}

# known_login_path NOW: the same, as it was told in the minute before NOW (epoch seconds) if nothing changed since.
known_login_path() {
    login_at=
    { read -r login_at && read -r login_for && read -r LOGIN_PATH; } 2>/dev/null <"$DG_STATE/login-path"
    case $login_at in
    '' | *[!0-9]*) login_at=0 ;;
    esac
    if [ "$login_at" -le "$1" ] && [ "$1" -lt "$((login_at + 60))" ] && [ "$login_for" = "${SHELL-} $PATH" ] &&
        login_unchanged "$DG_STATE/login-path"; then
        return
    fi
    login_path
}

# login_unchanged FILE: whether FILE is newer than all that shells usually read when one logs in, and than the folders
# that this is in or asks for: a file that came or went, or was replaced by an older one, shows there.
# shellcheck disable=SC3013 # -nt is not in POSIX 2008, but in dash, bash, BusyBox, ksh and zsh
login_unchanged() {
    for login_source in /etc /etc/environment /etc/profile /etc/profile.d /etc/profile.d/* /etc/paths /etc/paths.d \
        /etc/paths.d/* /etc/bash* /etc/bash/* /etc/zsh* /etc/zsh/* /etc/fish /etc/fish/* "$HOME" "$HOME/.local" \
        "$HOME/.profile" "$HOME/.bash_profile" "$HOME/.bash_login" "$HOME/.bashrc" "$HOME/.zshenv" "$HOME/.zprofile" \
        "$HOME/.zshrc" "$HOME/.zlogin" "$HOME/.config" "$HOME/.config/fish" "$HOME"/.config/fish/*; do
        [ "$1" -nt "$login_source" ] || [ ! -e "$login_source" ] || return 1
    done
}

# was_restarted: whether the host was restarted since the claim that was read. An id that cannot be read proves nothing.
was_restarted() {
    case " $CLAIM_BOOT $BOOT " in
    '  '* | *' unknown '*) return 1 ;;
    esac
    [ "$CLAIM_BOOT" != "$BOOT" ]
}

# run_state RUN_FOLDER: sets STATE to ended (with CODE, REASON, ENDED), void, running, claimed (nothing started yet), lost
# (with WHY) or absent. Sets CLAIMED, WORKSPACE, OWNER where known. Needs BOOT. Forks nothing on Linux.
run_state() {
    CODE='' REASON='' ENDED='' WHY='' CLAIMED='' CLAIM_BOOT='' WORKSPACE='' OWNER='' SUP='' SUP_START='' CMD='' CMD_START=''
    if [ -f "$1/claim" ]; then
        {
            read -r CLAIMED
            read -r CLAIM_BOOT
            read -r WORKSPACE
            read -r OWNER
        } <"$1/claim"
    fi
    if [ -f "$1/exit" ]; then
        read -r CODE REASON ENDED <"$1/exit"
        STATE=ended
    elif [ -f "$1/void" ]; then
        STATE=void
    elif was_restarted; then
        STATE=lost WHY='the host was restarted while it ran'
    elif [ -s "$1/proc" ]; then
        read -r SUP SUP_START CMD CMD_START <"$1/proc"
        if is_process "$SUP" "$SUP_START"; then
            STATE=running
        elif [ -f "$1/exit" ]; then # it ended while we looked
            read -r CODE REASON ENDED <"$1/exit"
            STATE=ended
        else
            STATE=lost WHY='its supervisor was killed on the host'
        fi
    elif [ -e "$1/launch" ] && [ ! -s "$1/proc" ]; then
        STATE=void
    elif [ -d "$1" ]; then
        STATE=claimed
    else
        STATE=absent
    fi
}
