# shellcheck shell=sh
# shellcheck disable=SC2154 # what lib.sh, start.sh, sync.sh and workspace.sh set
# Copies of a project that one run has to itself: PROJECT@RUN beside the project's folder. Goes with start.sh (for
# calling off), sync.sh and workspace.sh.
#
# A copy is a workspace as any other. In $DG_WS it has besides:
#   isolated   the project's folder (one line). What has no such file was not made here, and is never removed
#   inode      of the copy as it was made, so that another folder in its place is not taken for it
# What becomes of copies is told in $DG_STATE/workspaces.log.

# copy_run DIR: sets COPY_RUN to the run that a folder of that name was made for. Fails if it cannot be a copy.
copy_run() {
    COPY_RUN=${1##*@}
    case $1 in
    /*/?*@*) ;;
    *) return 1 ;;
    esac
    case $COPY_RUN in
    '' | *[!a-z0-9-]*) return 1 ;;
    esac
}

# inode_of DIR: sets INODE.
inode_of() {
    # shellcheck disable=SC2012 # everywhere the same
    INODE=$(ls -di "$1" 2>/dev/null | { read -r inode _ && printf '%s' "$inode"; })
}

# watched LIMIT_S: wait for the job that was just put into the background, and say every few seconds that it goes on.
# Ends it when time is up (and fails), or when nobody listens any more. The lock of $DG_WS, which is ours, is renewed.
watched() {
    watched_pid=$! watched_left=$(($1 * 10)) watched_quiet=0
    trap 'kill "$watched_pid" 2>/dev/null; exit 1' HUP INT TERM PIPE
    while kill -0 "$watched_pid" 2>/dev/null; do
        if [ "$watched_left" -le 0 ]; then
            kill "$watched_pid" 2>/dev/null
            break
        fi
        watched_tick=1
        sleep 0.1 2>/dev/null || { sleep 1 && watched_tick=10; }
        watched_left=$((watched_left - watched_tick)) watched_quiet=$((watched_quiet + watched_tick))
        if [ "$watched_quiet" -ge 40 ]; then
            watched_quiet=0
            fact working "$watched_left"
            date +%s >"$DG_WS/lock/since.new" && mv "$DG_WS/lock/since.new" "$DG_WS/lock/since"
        fi
    done 2>/dev/null
    trap - HUP INT TERM PIPE
    wait "$watched_pid"
}

# -- making one
# --------------------------------------------------------------------------------------------------------

# open_copy DIR RUN OWNER LEASE_S MANIFEST_ID DIGEST EXPIRE_S: as open_workspace, for DIR@RUN. The mark comes before the
# folder, so that whatever is cut off half-way is known for what it is. Fact seeded COUNT HOW: files that DIR had as
# they were sent.
open_copy() {
    boot_id
    expire_copies "$7" "$2" "$3" "$4"
    resolve_dir "$1"
    DG_COPY_OF=$(cd "$DIR" 2>/dev/null && pwd -P) || DG_COPY_OF=$DIR
    DIR=${DIR%/}@$2
    if ! mkdir -p "${DIR%/*}/" 2>/dev/null || ! copy_parent=$(cd "${DIR%/*}/" 2>/dev/null && pwd -P); then
        fact failed "permission cannot make or write $DIR"
        return 1
    fi
    DIR=${copy_parent%/}/${DIR##*/}
    workspace_key "$DIR"
    if [ -L "$DIR" ] || { [ -e "$DIR" ] && [ ! -f "$DG_WS/isolated" ]; } ||
        { [ -s "$DG_WS/path" ] && [ "$(cat "$DG_WS/path")" != "$DIR" ]; }; then # two long names may have one key
        fact failed "permission $DIR is there already, and was not made for this run"
        return 1
    fi
    if ! copy_run "$DIR" || ! (
        umask 077
        mkdir -p "$DG_WS" && printf '%s\n' "$DIR" >"$DG_WS/path" && printf '%s\n' "$DG_COPY_OF" >"$DG_WS/isolated"
    ) 2>/dev/null; then
        fact failed "disk cannot write $DG_WS"
        return 1
    fi
    open_workspace "$DIR" "$2" "$3" "$4" "$5" "$6"
}

# seed_copy: what open_workspace does once the copy $DIR is there and held. Never fails: what is not copied here is
# sent.
seed_copy() {
    if [ ! -f "$DG_WS/inode" ]; then
        inode_of "$DIR"
        printf '%s\n' "$INODE" >"$DG_WS/inode"
        case $(ls -ld "$DG_COPY_OF") in
        d???------*) chmod go= "$DIR" ;;
        esac
    fi
    if [ -f "$DG_WS/sent" ]; then # a client of this run was cut off: the sync goes on with what is there
        [ ! -f "$DG_WS/seed.names" ] || { seed_end_other && seed_take_back; }
        rm -f "$DG_WS"/seed.*
        return
    fi
    copy_ws=$DG_WS
    workspace_key "$DG_COPY_OF"
    seed_ws=$DG_WS DG_WS=$copy_ws
    # Without sent.id a sync is under way there, or broke off.
    [ -f "$seed_ws/sent" ] && cp -p "$seed_ws/sent.id" "$DG_WS/seed.since" && cp "$seed_ws/sent" "$DG_WS/seed.sent" &&
        seed_plan && mv "$DG_WS/seed.sent" "$DG_WS/sent" && seed_files
    rm -f "$DG_WS"/seed.*
} 2>/dev/null

# seed_plan: writes seed.names, every name that was sent, and seed.plan, a seed_some DIR NAME… for those in one folder.
# Left out: names with a line break, agents' memory, which is bound to its folder, and what is below another name (then
# one of the two is not there any more, and might be a link).
seed_plan() {
    LC_ALL=C awk '
        /%0A/ || /(^|\/)\.(git|gummy)\// { next }
        { gsub(/%25/, "%"); sent[++count] = $0; is_sent[$0] }
        END {
            for (i = 1; i <= count; i++) {
                above = sent[i]
                while (sub(/\/[^\/]*$/, "", above) && !(above in is_sent)) continue
                if (above == sent[i] || !(above in is_sent)) print "./" sent[i]
            }
        }
    ' "$DG_WS/seed.sent" >"$DG_WS/seed.names" && LC_ALL=C awk '
        function quoted(text, parts, count, i, out) {
            count = split(text, parts, "\047")
            out = "\047" parts[1]
            for (i = 2; i <= count; i++) out = out "\047\"\047\"\047" parts[i]
            return out "\047"
        }
        function flush(folder) {
            print "seed_some " quoted(folder) names[folder]
            names[folder] = ""
            many[folder] = 0
        }
        {
            folder = $0
            sub(/\/[^\/]*$/, "", folder)
            names[folder] = names[folder] " " quoted($0)
            if (++many[folder] == 200 || length(names[folder]) > 40000) flush(folder)
        }
        END { for (folder in names) if (many[folder]) flush(folder) }
    ' "$DG_WS/seed.names" >"$DG_WS/seed.plan"
}

# seed_files: copy them, and take back what is not surely as it was sent. Never by hard links: a run that writes into a
# file (>>) would write into both, and a link alone changes the time (ctime) by which it is told what a run changed
# there.
seed_files() {
    [ -d "$DG_COPY_OF" ] && have xargs || return 1 # xargs: to take back with
    seed_flags
    (
        trap seed_stop TERM
        if [ -n "$SEED_PARENTS" ]; then
            seed_at_once
        else
            # shellcheck disable=SC1091 # made by seed_plan
            cd "$DIR" && . "$DG_WS/seed.plan"
        fi
    ) </dev/null >/dev/null 2>&1 &
    seed_proc=$!
    proc_start $$ && seed_proc="$$ $START $seed_proc" && proc_start "${seed_proc##* }"
    printf '%s\n' "$seed_proc $START" >"$DG_WS/seed.proc"
    watched "${DG_SEED_S:-60}"
    seed_take_back
    fact seeded "$(seed_count) $seed_how"
}

# seed_end_other: end what another script still copies: its client is gone, and it may not have heard of that yet.
seed_end_other() {
    seed_pid='' seed_start='' seed_copier='' seed_began=''
    read -r seed_pid seed_start seed_copier seed_began <"$DG_WS/seed.proc"
    seed_tries=50
    while [ "$seed_tries" -gt 0 ]; do
        is_process "$seed_copier" "$seed_began" && seed_alive=$seed_copier || seed_alive=
        is_process "$seed_pid" "$seed_start" && seed_alive=$seed_pid
        [ -n "$seed_alive" ] || return 0
        kill "$seed_alive"
        sleep 0.1 || sleep 1
        seed_tries=$((seed_tries - 1))
    done
    return 0
}

# seed_stop: what ends the copying must end cp too, or it would go on writing where rsync writes then.
seed_stop() {
    [ -z "$!" ] || kill -KILL "$!"
    seed_cp=
    { read -r seed_cp <"$DG_WS/seed.cp"; } 2>/dev/null
    [ -z "$seed_cp" ] || kill -KILL "$seed_cp"
    exit
}

# seed_at_once: with a cp that makes folders itself, a few processes do.
seed_at_once() {
    cd "$DG_COPY_OF" && seed_sure | tr '\n' '\0' >"$DG_WS/seed.first" || return
    # shellcheck disable=SC2016 # expanded by the inner shell
    xargs -0 -n 500 sh -c '
        kill -0 "$1" || exit 255
        echo $$ >"$2"
        to=$3
        shift 3
        exec cp -pP --parents --reflink=auto "$@" "$to/"
    ' sh "$$" "$DG_WS/seed.cp" "$DIR" <"$DG_WS/seed.first" &
    wait $!
    rm -f "$DG_WS/seed.cp"
}

# seed_flags: sets SEED_PARENTS if cp makes folders itself (GNU), else SEED_FLAGS to what makes it share blocks until
# one side writes (macOS), where the file system can do that.
seed_flags() {
    seed_how=copies SEED_FLAGS='' SEED_PARENTS=''
    seed_probe=$DIR/.dg-probe
    mkdir -p "$seed_probe/to" && printf 'probe\n' >"$seed_probe/a"
    if (cd "$seed_probe" && cp -pP --parents --reflink=auto ./a to/); then
        SEED_PARENTS=1
        ! cp --reflink=always "$seed_probe/a" "$seed_probe/b" || seed_how=reflinks
    elif cp -c "$seed_probe/a" "$seed_probe/b"; then
        seed_how=reflinks SEED_FLAGS=-c
    fi 2>/dev/null
    rm -rf "$seed_probe"
}

# seed_take_back: delete from the copy what is not surely as it was sent.
seed_take_back() {
    seed_sure >"$DG_WS/seed.sure"
    (
        cd "$DIR" || exit
        seed_unsure | while IFS= read -r seed_name; do
            ! is_ours "${seed_name#./}" || printf '%s\0' "$seed_name"
        done | xargs -0 rm -f
    )
}

# seed_some FOLDER NAME…: copy these from the project's folder into the current one, the copy. With -R a FIFO is not
# read.
seed_some() {
    kill -0 "$$" || exit # nobody is there any more to take back what is wrong
    seed_folder=$1
    shift
    safe_parent "${seed_folder#./}/x" && { [ -d "$seed_folder" ] || mkdir -p "$seed_folder"; } || return
    for seed_name; do
        shift
        if [ -f "$DG_COPY_OF/$seed_name" ] || [ -L "$DG_COPY_OF/$seed_name" ]; then
            set -- "$@" "$DG_COPY_OF/$seed_name"
        fi
    done
    [ $# -gt 0 ] || return
    # shellcheck disable=SC2086 # a flag or none
    cp -RpP $SEED_FLAGS "$@" "$seed_folder/" &
    wait $!
}

# seed_sure: the names that nobody has touched in the project's folder since the last sync there. A run that writes
# there while we read may leave a file with the size and time that it was sent with, and not the content; ctime tells.
seed_sure() (
    cd "$DG_COPY_OF" || exit
    # shellcheck disable=SC2016 # expanded by the inner shell
    if find "$DG_WS/seed.since" -cnewer "$DG_WS/seed.since" >/dev/null 2>&1; then
        tr '\n' '\0' <"$DG_WS/seed.names" |
            xargs -0 sh -c 'since=$1; shift; find "$@" -prune \( -type f -o -type l \) ! -cnewer "$since" -print' \
                sh "$DG_WS/seed.since"
    else
        seed_since=$(stat -c %Y "$DG_WS/seed.since") || exit
        tr '\n' '\0' <"$DG_WS/seed.names" | xargs -0 stat -c '%Z %n' |
            LC_ALL=C awk -v since="$seed_since" '$1 < since { sub(/^[0-9]+ /, ""); print }'
    fi 2>/dev/null
)

seed_unsure() {
    LC_ALL=C awk 'FILENAME == ARGV[1] { sure[$0]; next } !($0 in sure)' "$DG_WS/seed.sure" "$DG_WS/seed.names"
}

seed_count() {
    find "$DIR" \( -type f -o -type l \) -print | wc -l | tr -cd '0-9'
}

# -- taking it away
# ----------------------------------------------------------------------------------------------------

# drop_copy DIR RUN: of a run that will not start: nothing was done in it.
drop_copy() {
    boot_id
    real_dir "$1"
    workspace_key "$DIR"
    drop_dir=$DIR
    if owns_workspace "$drop_dir" "$2" && [ ! -f "$DG_STATE/runs/$2/launched" ] && ! work_left &&
        copy_is_fit "$drop_dir"; then
        take_away "$drop_dir" 'its run was not started'
    fi
    unlock_workspace "$2"
}

# file_age FILE: sets AGE to how many seconds ago it was changed, "" if this host does not tell. Needs NOW.
file_age() {
    AGE=$(stat -c %Y "$1" 2>/dev/null || stat -f %m "$1" 2>/dev/null)
    case $AGE in
    '' | *[!0-9]*) AGE= ;;
    *) AGE=$((NOW - AGE)) ;;
    esac
}

# size_of DIR LIMIT_S: sets SIZE (kB), "" if it takes longer.
size_of() {
    SIZE=
    (umask 077 && limited "$2" du -sk "$1" >"$DG_STATE/size.$$" 2>/dev/null)
    { read -r SIZE _ <"$DG_STATE/size.$$"; } 2>/dev/null
    rm -f "$DG_STATE/size.$$"
    SIZE=${SIZE%%[!0-9]*}
}

# work_left: whether $DG_WS holds work that was not brought home. Sets WORK_RUN and WORK_OWNER.
work_left() {
    WORK_RUN='' WORK_OWNER=''
    [ -e "$DG_WS/uncollected" ] || [ -L "$DG_WS/uncollected" ] || return 1
    {
        read -r WORK_RUN WORK_OWNER
        [ -n "$WORK_OWNER" ] || read -r WORK_OWNER
    } 2>/dev/null <"$DG_WS/uncollected"
    return 0
}

# is_at_work: whether a run is at work in the workspace $DG_WS.
is_at_work() {
    lock_holder 99999999999 # so that nothing is called off for being looked at
    [ "$HOLDER_ALIVE" = yes ] && [ "$STATE" = running ]
}

# copy_is_fit DIR: whether $DG_WS is of a copy that was made here, and DIR is that very folder (or is gone). Sets
# UNFIT.
copy_is_fit() {
    UNFIT=unmarked
    copy_run "$1" && [ ! -L "$DG_WS" ] && [ -f "$DG_WS/isolated" ] && [ ! -L "$DG_WS/isolated" ] || return 1
    UNFIT=moved
    [ "$(cat "$DG_WS/path" 2>/dev/null)" = "$1" ] || return 1
    UNFIT='link'
    [ ! -L "$1" ] || return 1
    [ -e "$1" ] || return 0
    UNFIT=moved
    [ -d "$1" ] && [ "$(cd "$1" 2>/dev/null && pwd -P)" = "$1" ] || return 1
    inode_of "$1"
    copy_inode=
    { read -r copy_inode <"$DG_WS/inode"; } 2>/dev/null
    [ -n "$INODE" ] && [ "$INODE" = "${copy_inode:-$(made_just_now "$1")}" ]
}

# made_just_now DIR: prints INODE where nothing was put into DIR yet: its maker died before it wrote that down.
made_just_now() {
    # shellcheck disable=SC2012 # whether there is anything
    [ -n "$(ls -A "$1" 2>/dev/null | head -n 1)" ] || printf '%s' "$INODE"
}

# never_began DIR LEASE_S: whether the run that DIR was made for never began, and never will.
never_began() {
    copy_run "$1" || return 1
    never_run=$DG_STATE/runs/$COPY_RUN
    [ ! -f "$never_run/launched" ] || return 1
    [ -f "$never_run/void" ] || { [ ! -d "$never_run" ] && [ -d "$DG_WS/lock" ]; }
}

# take_away DIR WHY: remove a copy that is held, what is remembered of it, and say so in the log. From its own parent,
# that nothing on the way there can be exchanged for a link.
take_away() {
    size_of "$1" 5
    (
        cd "${1%/*}/" && away=$(pwd -P) || exit
        if [ "${away%/}/${1##*/}" = "$1" ] && [ ! -L "./${1##*/}" ]; then
            exec rm -rf "./${1##*/}"
        fi
    ) >/dev/null 2>&1 &
    watched "${DG_REMOVE_S:-600}"
    [ ! -e "$1" ] && [ ! -L "$1" ] || return 1
    log_removal "$1" "$2"
    rm -rf "$DG_WS"
}

# log_removal DIR WHY: "TIME kB WHY DIR", tabs between.
log_removal() {
    log_file=$DG_STATE/workspaces.log
    log_bytes=$(wc -c 2>/dev/null <"$log_file" | tr -cd '0-9')
    [ "${log_bytes:-0}" -lt 1000000 ] || mv -f "$log_file" "$log_file.1"
    log_dir=$(printf '%s' "$1" | tr '\n\t' '  ')
    log_time=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    (umask 077 && printf '%s\t%s\t%s\t%s\n' "$log_time" "${SIZE:-?}" "$2" "$log_dir" >>"$log_file")
}

# remove_copy DIR OLDER_S TOKEN OWNER LEASE_S: facts removed kB DIR, or kept WHY DIR. "0" is any age.
remove_copy() {
    workspace_key "$1"
    KEPT=
    NOW=$(date +%s)
    file_age "$DG_WS"
    remove_why=
    if ! copy_is_fit "$1"; then
        KEPT=$UNFIT
    elif is_at_work; then
        KEPT=in-use
    elif work_left; then
        KEPT="uncollected"
    elif [ "$2" -eq 0 ] || { [ -n "$AGE" ] && [ "$AGE" -ge "$2" ]; }; then
        remove_why="unused for ${AGE:-?} s"
    elif never_began "$1"; then
        remove_why='its run never began'
    else
        KEPT=young
    fi
    if [ -z "$KEPT" ]; then
        remove_held "$@"
    fi
    if [ -n "$KEPT" ]; then
        fact kept "$KEPT $1"
        return 1
    fi
    fact removed "${SIZE:-?} $1"
}

# remove_held DIR OLDER_S TOKEN OWNER LEASE_S: once nobody else can have it, what was seen before is looked at again.
remove_held() {
    if ! lock_workspace "$3" "$4" "$5"; then
        KEPT=in-use
        return
    fi
    if ! copy_is_fit "$1"; then
        KEPT=$UNFIT
    elif work_left; then
        KEPT="uncollected"
    elif ! take_away "$1" "$remove_why"; then
        KEPT=permission
    fi
    [ -z "$KEPT" ] || unlock_workspace "$3"
}

# remove_copies OLDER_S TOKEN OWNER LEASE_S DIR…: see remove_copy.
remove_copies() {
    boot_id
    remove_older=$1 remove_token=$2 remove_owner=$3 remove_lease=$4
    shift 4
    for remove_dir; do
        remove_copy "$remove_dir" "$remove_older" "$remove_token" "$remove_owner" "$remove_lease"
    done
    return 0
}

# expire_copies OLDER_S TOKEN OWNER LEASE_S: remove up to three that are that old, without a word but in the log.
expire_copies() {
    expire_left=3 DG_REMOVE_S=10
    for expire_mark in "$DG_STATE"/workspaces/*/isolated; do
        [ -f "$expire_mark" ] || continue
        NOW=${NOW:-$(date +%s)}
        DG_WS=${expire_mark%/isolated}
        expire_dir=$(cat "$DG_WS/path" 2>/dev/null)
        case $expire_dir in *"@$2") continue ;; esac # its own, from a client that was cut off
        file_age "$DG_WS"
        if [ -z "$AGE" ] || { [ "$AGE" -lt "$1" ] && ! never_began "$expire_dir"; }; then
            continue
        fi
        fact working "$expire_left"
        if remove_copy "$expire_dir" "$1" "$2" "$3" "$4" >/dev/null; then
            expire_left=$((expire_left - 1))
            [ "$expire_left" -gt 0 ] || return 0
        fi
    done
}

# -- telling
# -----------------------------------------------------------------------------------------------------------

# list_workspaces LEASE_S BUDGET_S [DIR]: every workspace, or those of the project DIR. Facts workspace DIR, then as
# far as it is so: copy-of DIR, gone, used SECONDS, size kB (not once the budget is spent), holder RUN, holder-owner
# OWNER, uncollected RUN, uncollected-owner OWNER, abandoned (its run never began).
list_workspaces() {
    boot_id
    NOW=$(date +%s)
    list_lease=$1 list_until=$((NOW + $2)) list_only=
    if [ $# -gt 2 ]; then
        real_dir "$3"
        list_only=$DIR
    fi
    for list_ws in "$DG_STATE"/workspaces/*; do
        if [ ! -f "$list_ws/path" ] || [ -L "$list_ws" ]; then
            continue
        fi
        list_dir=$(cat "$list_ws/path")
        workspace_key "$list_dir"
        list_source=
        { read -r list_source <"$list_ws/isolated"; } 2>/dev/null
        [ "$DG_WS" = "$list_ws" ] || continue
        [ -z "$list_only" ] || [ "$list_dir" = "$list_only" ] || [ "$list_source" = "$list_only" ] || continue
        tell_one
    done
}

tell_one() {
    fact workspace "$list_dir"
    [ -z "$list_source" ] || fact copy-of "$list_source"
    file_age "$DG_WS"
    [ -z "$AGE" ] || fact used "$AGE"
    if [ -d "$list_dir" ]; then
        list_left=$((list_until - $(date +%s)))
        [ "$list_left" -lt 5 ] || list_left=5
        if [ "$list_left" -gt 0 ]; then
            size_of "$list_dir" "$list_left"
            [ -z "$SIZE" ] || fact size "$SIZE"
        fi
    else
        fact gone "$list_dir"
    fi
    lock_holder 99999999999 # so that nothing is called off for being looked at
    case $STATE:$HOLDER_SINCE in
    claimed:*[0-9] | absent:*[0-9]) [ "$((NOW - HOLDER_SINCE))" -le "$list_lease" ] || HOLDER_ALIVE=no ;;
    esac
    if [ -n "$HOLDER" ] && [ "$HOLDER_ALIVE" != no ]; then
        fact holder "$HOLDER"
        fact holder-owner "$HOLDER_OWNER"
    elif [ -n "$list_source" ] && never_began "$list_dir"; then
        fact abandoned "$COPY_RUN"
    fi
    if work_left; then
        fact uncollected "${WORK_RUN:-?}"
        fact uncollected-owner "$WORK_OWNER"
    fi
}
