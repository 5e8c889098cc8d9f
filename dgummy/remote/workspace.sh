# shellcheck shell=sh
# shellcheck disable=SC2034 # what a function sets, its caller reads
# One workspace, one writer. A workspace is a project folder on this host; $DG_STATE/workspaces/KEY/lock is a folder
# (files: run, since, owner) that one run holds from before its sync until it ends.

# real_dir DIR: the same with symbolic links followed, as far as it is there.
real_dir() {
    resolve_dir "$1"
    real_dir=$(cd "$DIR" 2>/dev/null && pwd -P) && DIR=$real_dir
}

# workspace_key DIR: sets DG_WS to the folder that remembers the workspace DIR (absolute). Counts bytes, whatever the locale.
workspace_key() {
    ws_key=$(
        LC_ALL=C
        export LC_ALL
        ws_key=$(printf '%s' "$1" | sed 's/%/%25/g; s|/|%2F|g')
        if [ "${#ws_key}" -gt 200 ]; then
            # shellcheck disable=SC2046 # two words on purpose
            set -- $(printf '%s' "$ws_key" | cksum)
            ws_key=long-$1-$2
        fi
        printf '%s' "$ws_key"
    )
    DG_WS=$DG_STATE/workspaces/$ws_key
}

# break_lock LOCK LINE_FILE SEEN: remove a lock folder, but only if LINE_FILE in it still says SEEN. Two that try at once
# cannot remove each other's new lock: the right to remove is a folder inside the lock (for a minute, in case of a crash).
break_lock() {
    if ! mkdir "$1/breaking" 2>/dev/null; then
        [ -z "$(find "$1/breaking" -prune -mmin +1 2>/dev/null)" ] || rmdir "$1/breaking" 2>/dev/null
        return 1
    fi
    { read -r break_now <"$1/$2"; } 2>/dev/null || break_now=
    if [ "$break_now" = "$3" ]; then
        mv "$1" "$1.dead.$$" && rm -rf "$1.dead.$$"
    else
        rmdir "$1/breaking" 2>/dev/null
        return 1
    fi
}

# lock_holder LEASE_S: who has $DG_WS/lock: sets HOLDER, HOLDER_OWNER, HOLDER_SINCE and HOLDER_ALIVE (yes, no, unsure).
lock_holder() {
    HOLDER='' HOLDER_OWNER='' HOLDER_SINCE='' HOLDER_ALIVE=unsure
    {
        read -r HOLDER <"$DG_WS/lock/run" && read -r HOLDER_OWNER <"$DG_WS/lock/owner" &&
            read -r HOLDER_SINCE <"$DG_WS/lock/since"
    } 2>/dev/null
    [ -n "$HOLDER" ] && [ -n "$HOLDER_SINCE" ] || return 0
    run_state "$DG_STATE/runs/$HOLDER"
    case $STATE in
    running) HOLDER_ALIVE=yes ;;
    ended | void) HOLDER_ALIVE=no ;;
    lost) # its supervisor is gone; what it watched over may not be
        HOLDER_ALIVE=no
        if ! was_restarted && is_process "$CMD" "$CMD_START"; then
            HOLDER_ALIVE=yes
        fi
        ;;
    *) # its client still syncs, or died: it renews the lock while it lives
        HOLDER_ALIVE=yes
        # Whatever of it is still under way somewhere must not begin later in a workspace that is no longer its own.
        if [ "$(($(date +%s) - HOLDER_SINCE))" -gt "$1" ] && void_run "$HOLDER" >/dev/null; then
            HOLDER_ALIVE=no
        fi
        ;;
    esac
}

# lock_workspace RUN OWNER LEASE_S: succeeds if RUN has the workspace now (also if it had it before). Fails without a
# HOLDER if the disk is full.
lock_workspace() {
    HOLDER='' HOLDER_OWNER=''
    lock_tries=0
    while [ "$lock_tries" -lt 8 ]; do
        lock_tries=$((lock_tries + 1))
        if mkdir "$DG_WS/lock" 2>/dev/null; then
            printf '%s\n' "$2" >"$DG_WS/lock/owner" && date +%s >"$DG_WS/lock/since" &&
                printf '%s\n' "$1" >"$DG_WS/lock/run" && return
            rm -rf "$DG_WS/lock"
            HOLDER=
            return 1
        fi
        lock_holder "$3"
        [ "$HOLDER" != "$1" ] || return 0
        case $HOLDER_ALIVE in
        yes) return 1 ;;
        no) break_lock "$DG_WS/lock" run "$HOLDER" ;;
        *) # somebody is between making the folder and filling it; if they died there, it stays empty
            sleep 1
            [ "$lock_tries" -lt 5 ] || break_lock "$DG_WS/lock" run ''
            ;;
        esac
    done
    return 1
}

# owns_workspace DIR RUN: whether RUN has the workspace DIR (absolute).
owns_workspace() {
    workspace_key "$1"
    { read -r owns_run <"$DG_WS/lock/run"; } 2>/dev/null && [ "$owns_run" = "$2" ]
}

# unlock_workspace RUN: give it back, if RUN has it.
unlock_workspace() {
    unlock_tries=0
    while [ "$unlock_tries" -lt 20 ]; do
        { read -r unlock_run <"$DG_WS/lock/run"; } 2>/dev/null || return 0
        [ "$unlock_run" = "$1" ] || return 0
        ! break_lock "$DG_WS/lock" run "$1" || return 0
        unlock_tries=$((unlock_tries + 1)) # somebody looks at it just now
        sleep 0.1 2>/dev/null || sleep 1
    done
}

# open_workspace DIR RUN OWNER LEASE_S MANIFEST_ID: make the folder, lock it, tell what a sync needs to know.
open_workspace() {
    boot_id
    resolve_dir "$1"
    if ! mkdir -p "$DIR" 2>/dev/null || ! DIR=$(cd "$DIR" 2>/dev/null && pwd -P) || [ ! -w "$DIR" ]; then
        fact failed "permission cannot make or write $DIR"
        return 1
    fi
    home=$(cd "$HOME" && pwd -P)
    outer=${DIR%/} # not in the pattern: bash takes an empty "${…%…}" there for something
    case $home/ in
    "$outer"/*)
        fact failed "permission $DIR is the home folder or holds it"
        return 1
        ;;
    esac
    workspace_key "$DIR"
    (umask 077 && mkdir -p "$DG_WS") || {
        fact failed "disk cannot write $DG_STATE"
        return 1
    }
    [ -s "$DG_WS/path" ] || printf '%s\n' "$DIR" >"$DG_WS/path"
    if ! lock_workspace "$2" "$3" "$4"; then
        if [ -z "$HOLDER$HOLDER_OWNER" ] && [ ! -d "$DG_WS/lock" ]; then
            fact failed "disk cannot write $DG_WS"
        else
            fact busy "${HOLDER:-?} $HOLDER_OWNER"
        fi
        return 1
    fi
    [ -z "${DG_COPY_OF-}" ] || seed_copy
    tell_workspace "$5"
}

# tell_workspace MANIFEST_ID: where $DIR is, which rsync there is, and what was last sent (if it was something else).
tell_workspace() {
    fact dir "$DIR"
    login_path
    PATH=${DG_PATH_DIRS:+$DG_PATH_DIRS:}$LOGIN_PATH
    if have rsync; then
        fact rsync "$(command -v rsync)"
    fi
    tell_id=
    [ ! -f "$DG_WS/sent.id" ] || read -r tell_id <"$DG_WS/sent.id"
    if [ "$tell_id" = "$1" ]; then
        fact sent same
    elif [ -f "$DG_WS/sent" ]; then
        manifest_read
    fi
}

# peek_workspace DIR MANIFEST_ID: the same without touching anything; fact absent if the folder is not there.
peek_workspace() {
    resolve_dir "$1"
    if ! DIR=$(cd "$DIR" 2>/dev/null && pwd -P); then
        resolve_dir "$1"
        fact absent "$DIR"
    fi
    workspace_key "$DIR"
    tell_workspace "$2"
}

# close_workspace DIR RUN: a run that will not start gives its workspace back.
close_workspace() {
    real_dir "$1"
    workspace_key "$DIR"
    unlock_workspace "$2"
}

# renew_workspace DIR RUN: say that the sync is still under way. Fails if the lock was lost.
renew_workspace() {
    real_dir "$1"
    workspace_key "$DIR"
    { read -r renew_run <"$DG_WS/lock/run"; } 2>/dev/null || renew_run=
    [ "$renew_run" = "$2" ] || return 1
    date +%s >"$DG_WS/lock/since.new" && mv "$DG_WS/lock/since.new" "$DG_WS/lock/since"
}

# enter_workspace DIR RUN: go there, if RUN still has it.
enter_workspace() {
    real_dir "$1"
    workspace_key "$DIR"
    { read -r enter_run <"$DG_WS/lock/run"; } 2>/dev/null || enter_run=
    if [ "$enter_run" != "$2" ] || ! cd "$DIR"; then
        fact busy "${enter_run:-nobody} "
        return 1
    fi
}

# begin_sync DIR RUN GONE…: before rsync. DG_MANIFEST holds what was sent before and what will be, together.
begin_sync() {
    enter_workspace "$1" "$2" || return
    shift 2
    if ! manifest_write; then
        fact failed "disk cannot write $DG_WS"
        return 1
    fi
    delete_gone "$@"
}

# end_sync DIR RUN ID: after rsync. DG_MANIFEST holds what was sent.
end_sync() {
    enter_workspace "$1" "$2" || return
    if ! manifest_write "$3"; then
        fact failed "disk cannot write $DG_WS"
        return 1
    fi
}
