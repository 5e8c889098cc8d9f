# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # what a function sets, its caller reads; run is set by start.sh
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

# lock_holder LEASE_S: who has $DG_WS/lock: sets HOLDER, HOLDER_OWNER, HOLDER_SINCE and HOLDER_ALIVE (yes, no,
# counting, unsure).
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
    ended) # its supervisor counts what it changed, and then gives the workspace back
        HOLDER_ALIVE=no
        ! is_counting "$DG_STATE/runs/$HOLDER" || HOLDER_ALIVE=counting
        ;;
    void) HOLDER_ALIVE=no ;;
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
    lock_tries=0 lock_naps=0
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
        counting)
            [ "$lock_naps" -lt 100 ] || return 1
            lock_naps=$((lock_naps + 1)) lock_tries=0
            sleep 0.1 2>/dev/null || { sleep 1 && lock_naps=$((lock_naps + 9)); }
            ;;
        no) break_lock "$DG_WS/lock" run "$HOLDER" ;;
        *) # somebody is between making the folder and filling it; if they died there, it stays empty
            sleep 1
            [ "$lock_tries" -lt 5 ] || break_lock "$DG_WS/lock" run ''
            ;;
        esac
    done
    return 1
}

# is_counting RUN_FOLDER: whether the supervisor of a run that has ended is still there.
is_counting() {
    SUP=
    { read -r SUP SUP_START _ <"$1/proc"; } 2>/dev/null
    [ -n "$SUP" ] && is_process "$SUP" "$SUP_START"
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

# open_workspace DIR RUN OWNER LEASE_S MANIFEST_ID [DIGEST]: make the folder, lock it, tell what a sync needs to know.
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
    [ -s "$DG_WS/path" ] || remember_workspace
    if ! lock_workspace "$2" "$3" "$4"; then
        if [ -z "$HOLDER$HOLDER_OWNER" ] && [ ! -d "$DG_WS/lock" ]; then
            fact failed "disk cannot write $DG_WS"
        else
            fact busy "${HOLDER:-?} $HOLDER_OWNER"
        fi
        return 1
    fi
    if tell_uncollected "$2"; then
        unlock_workspace "$2"
        return 1
    fi
    if ! enter_last "$2"; then
        fact failed "disk cannot write $DG_WS"
        unlock_workspace "$2"
        return 1
    fi
    [ -z "${DG_COPY_OF-}" ] || seed_copy
    tell_workspace "$5" "${6-}"
}

# visit_workspace DIR RUN OWNER LEASE_S MANIFEST_ID DIGEST: the same, and give it back at once, as it was, if there is nothing
# to do.
visit_workspace() {
    open_workspace "$@" || return
    if [ "$TELL_SAME" = yes ]; then
        [ -z "$last_run" ] || enter_last "$last_run"
        unlock_workspace "$2"
    fi
}

# tell_workspace MANIFEST_ID [DIGEST]: where $DIR is, which rsync there is, and what was last sent (if it was something
# else). With a DIGEST also whether what is there is what that stands for (TELL_SAME=yes, fact states same); if not, what is
# there, as a frame of stream "states": see quickcheck.py.
tell_workspace() {
    TELL_SAME=
    fact dir "$DIR"
    known_login_path "$(date +%s)"
    PATH=${DG_PATH_DIRS:+$DG_PATH_DIRS:}$LOGIN_PATH
    if have rsync; then
        fact rsync "$(command -v rsync)"
    fi
    tell_id=
    [ ! -f "$DG_WS/sent.id" ] || read -r tell_id <"$DG_WS/sent.id"
    if [ -n "${2-}" ] && [ -f "$DG_WS/sent" ] && cd "$DIR"; then
        tell_states "$1" "$2"
    fi
    if [ "$tell_id" = "$1" ]; then
        fact sent same
    elif [ -f "$DG_WS/sent" ]; then
        manifest_read
    fi
}

# tell_states MANIFEST_ID DIGEST: see tell_workspace. A sync that was cut off is not taken for done.
tell_states() {
    tell_file=$DG_WS/states.$$
    if compare_states "$2" "$tell_file" && [ "$tell_id" = "$1" ]; then
        TELL_SAME=yes
        fact states same
    elif have gzip && gzip -1 -n <"$tell_file" >"$tell_file.gz"; then
        printf '%s <states> %s\n' "$MARK" "$(wc -c <"$tell_file.gz" | tr -cd '0-9')"
        cat "$tell_file.gz"
    fi
    rm -f "$tell_file" "$tell_file.gz"
}

# peek_workspace DIR MANIFEST_ID: the same without touching anything; fact absent if the folder is not there.
peek_workspace() {
    resolve_dir "$1"
    if ! DIR=$(cd "$DIR" 2>/dev/null && pwd -P); then
        resolve_dir "$1"
        fact absent "$DIR"
    fi
    workspace_key "$DIR"
    boot_id
    if ! find_uncollected ''; then
        :
    elif [ -n "$MARKED_COUNT" ]; then
        fact uncollected "$MARKED $MARKED_COUNT $MARKED_OWNER"
    fi
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

# What a run may have changed is marked from before its command begins until it is collected, or known to be nothing:
# $DG_WS/uncollected holds the run's id and its owner. $DG_WS/last is the last run that this workspace was opened for: what
# an earlier one changed cannot be told apart any more.

# remember_workspace: notes where $DG_WS is about, and whether that is on another disk than we are.
remember_workspace() {
    apart=$(df -P "$DIR" "$DG_WS" 2>/dev/null | awk 'NR == 2 { first = $NF } NR == 3 && $NF == first { print "together" }')
    [ "$apart" = together ] || true 2>/dev/null >"$DG_WS/apart"
    printf '%s\n' "$DIR" >"$DG_WS/path"
}

# mark_work RUN OWNER: before the command of RUN can begin. $run/began is as old by the clock of the project's own disk (a
# server's, maybe).
mark_work() {
    printf '%s\n%s\n' "$1" "$2" 2>/dev/null >"$DG_WS/uncollected" && enter_last "$1" || return 1
    if [ ! -f "$DG_WS/apart" ]; then
        printf '%s %s\n' "$DG_NOW" "$DG_UP" 2>/dev/null >"$run/began"
    elif ! printf '%s %s\n' "$DG_NOW" "$DG_UP" 2>/dev/null >"$DG_WORKSPACE/.dgummy-$1" ||
        ! mv -f "$DG_WORKSPACE/.dgummy-$1" "$run/began" 2>/dev/null; then
        rm -f "$DG_WORKSPACE/.dgummy-$1"
        printf '%s %s\n' "$DG_NOW" "$DG_UP" 2>/dev/null >"$run/began"
    fi
}

# read_mark: sets MARKED and MARKED_OWNER, "" where nothing is marked.
read_mark() {
    MARKED='' MARKED_OWNER=''
    { read -r MARKED && read -r MARKED_OWNER; } 2>/dev/null <"$DG_WS/uncollected"
    case $MARKED in *[!a-z0-9-]*) MARKED= ;; esac
}

# drop_work_mark RUN: take the mark away, if it is that of RUN.
drop_work_mark() {
    read_mark
    [ "$MARKED" != "$1" ] || [ -z "$1" ] || rm -f "$DG_WS/uncollected"
}

# find_uncollected RUN: whether another run than RUN is marked. Sets MARKED_COUNT to how much it changed, "?" if that is not
# known, "" if it is nothing: a run that is forgotten here, never began, or died between its count and the mark.
find_uncollected() {
    read_mark
    [ -n "$MARKED" ] && [ "$MARKED" != "$1" ] || return 1
    run_state "$DG_STATE/runs/$MARKED"
    MARKED_COUNT=
    case $STATE in absent | void) return 0 ;; esac
    { read -r MARKED_COUNT _ <"$DG_STATE/runs/$MARKED/work"; } 2>/dev/null
    MARKED_COUNT=${MARKED_COUNT:-?}
    [ "$MARKED_COUNT" != 0 ] || MARKED_COUNT=
}

# tell_uncollected RUN: the same, with a fact that says so. A mark that stands for nothing is taken away.
tell_uncollected() {
    find_uncollected "$1" || return 1
    if [ -z "$MARKED_COUNT" ]; then
        rm -f "$DG_WS/uncollected"
        return 1
    fi
    fact uncollected "$MARKED $MARKED_COUNT $MARKED_OWNER"
}

# enter_last RUN: this workspace is RUN's from here on.
enter_last() {
    last_run=
    { read -r last_run <"$DG_WS/last"; } 2>/dev/null
    [ "$last_run" = "$1" ] || printf '%s\n' "$1" 2>/dev/null >"$DG_WS/last"
}
