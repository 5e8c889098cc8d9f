# shellcheck shell=sh
# shellcheck disable=SC2016,SC2153,SC2154 # what the inner shells and awk expand; run, DG_WS and the rest are set by the caller
# shellcheck disable=SC3013 # -nt is not in POSIX 2008, but in dash, bash, BusyBox, ksh and zsh
# What a run changed in its workspace: names and counts. The supervisor counts with it, collect.sh lists with it. Goes with
# lib.sh, workspace.sh and sync.sh. Needs run, DG_WS, LC_ALL=C, and the project folder as the current one.
#
# Changed means: its status changed (ctime, which nobody can set) since $run/began was made, which was after the last sync
# and before the command. Names are "./NAME", each with a NUL behind it (or
# just counted, see list_work). Nothing here follows a link.

# choose_way: sets WAY, how changed files are told: exact (find -cnewer), stamp (stat, where find cannot or clocks are
# coarse; may name one too many) or all (the clock was set back, or nothing can tell). Sets BEGAN_S.
choose_way() {
    BEGAN_S='' began_up='' WAY=all
    { read -r BEGAN_S began_up <"$run/began"; } 2>/dev/null
    case $BEGAN_S in '' | *[!0-9]*) return 0 ;; esac
    [ ! -e "$run/clock" ] || return 0
    # What the supervisor found holds, whatever was done to the clock later. Else what can be seen now.
    if [ ! -s "$run/work" ] && clock_was_set_back; then
        return
    fi
    DG_BEGAN=$run/began
    export DG_BEGAN
    # What changes from now on is newer than `launched` or as old. Where that is not newer than `began`, this file system
    # counts in too large steps (or this shell compares whole seconds).
    if [ "$run/launched" -nt "$run/began" ] && find_knows_cnewer; then
        WAY=exact
    elif choose_stat; then
        WAY=stamp
        DG_BEGAN_AT=$(TZ=UTC0 stat "$DG_STAT" "$DG_STAT_MTIME" "$run/began")
        export DG_BEGAN_AT
    fi
}

# find_knows_cnewer: whether find here can compare with ctime (that of BusyBox cannot). Remembered until find is another one.
find_knows_cnewer() {
    on_path find || return
    cnewer_told=$DG_STATE/cnewer cnewer_find='' cnewer_is=''
    if [ "$cnewer_told" -nt "$FOUND" ] && [ "$cnewer_told" -nt "${FOUND%/*}" ]; then
        { read -r cnewer_is cnewer_find <"$cnewer_told"; } 2>/dev/null
    fi
    if [ "$cnewer_find" != "$FOUND" ]; then
        cnewer_is=no
        ! find "$run/began" -cnewer "$run/began" >/dev/null 2>&1 || cnewer_is=yes
        printf '%s %s\n' "$cnewer_is" "$FOUND" 2>/dev/null >"$cnewer_told"
    fi
    [ "$cnewer_is" = yes ]
}

# clock_was_set_back: whether the clock shows less than what has passed since the run began, as far as that can be told.
clock_was_set_back() {
    seconds_up
    case $UP:$began_up in
    :* | *:) ;;
    *)
        # A run that was short: its end was written after its beginning, and a second more or less cannot be told anyway.
        if [ "$UP" -ge "$began_up" ] && [ "$((UP - began_up))" -le 1 ] && [ "$run/exit" -nt "$run/began" ]; then
            return 1
        fi
        ;;
    esac
    clock_now=$(date +%s) || return 0
    [ "$clock_now" -ge "$BEGAN_S" ] || return 0
    case $UP:$began_up in
    :* | *:) return 1 ;;
    esac
    # After a restart it has been up for less: then nothing can be told. Each of the four may be a second off.
    [ "$UP" -ge "$began_up" ] && [ "$clock_now" -lt "$((BEGAN_S + UP - began_up - 1))" ]
}

# choose_stat: sets how stat is to be asked here (GNU and BusyBox, or BSD). Fails if there is none.
choose_stat() {
    if stat -c %s / >/dev/null 2>&1; then
        DG_STAT=-c DG_STAT_CTIME=%z DG_STAT_MTIME=%y DG_STAT_LINE='%f %s %z'
    elif stat -f %z / >/dev/null 2>&1; then
        DG_STAT=-f DG_STAT_CTIME=%Fc DG_STAT_MTIME=%Fm DG_STAT_LINE='%Xp %z %Fc'
    else
        return 1
    fi
    export DG_STAT DG_STAT_CTIME DG_STAT_LINE
}

# list_work [new]: what changed; with `new` also names that were never sent. What was sent and is not there any more goes
# to fd 3. With DG_TELL=counts numbers are printed instead, which add up to how many names there are, and a "?" where a
# program was killed that should have told.
list_work() {
    SENT_PRUNED=
    if [ -z "${1-}" ]; then
        sent_names | only_changed || told_all $?
        return 0
    fi
    walk ! -type d || told_all $?
    sent_names pruned
    if [ -n "$SENT_PRUNED" ]; then
        each_name "$SENT_PRUNED" | only_changed || told_all $?
    fi
}

# told_all STATUS: find and xargs fail also for a name that has gone away, or a folder that nobody may read.
told_all() {
    [ "$1" -lt 124 ] || printf '?\n'
}

# walk TEST…: all below the current folder that passes the test and changed, but for what is no work of a run.
walk() {
    set -- . \( -name .git -o -name .gummy -o -name node_modules -o -name __pycache__ \) -prune -o "$@"
    case $WAY:$DG_TELL in
    exact:counts) find "$@" -cnewer "$DG_BEGAN" -exec sh -c 'echo "$#"' sh '{}' + 2>/dev/null ;;
    exact:*) find "$@" -cnewer "$DG_BEGAN" -print0 2>/dev/null ;;
    stamp:*)
        walk_minutes=$((($(date +%s) - BEGAN_S) / 60 + 2))
        # From a clock that was set back since, find would count wrongly, and a change would not be told.
        if [ "$walk_minutes" -gt 0 ] && find . -prune -cmin "-$walk_minutes" >/dev/null 2>&1; then
            set -- "$@" -cmin "-$walk_minutes"
        fi
        find "$@" -print0 2>/dev/null | only_changed
        ;;
    *) find "$@" -print0 2>/dev/null | only_changed ;;
    esac
}

# only_changed: of these names the ones that changed. A name that goes away meanwhile may be told or not.
only_changed() {
    case $WAY:$DG_TELL in
    exact:*)
        xargs -0 sh -c '
            [ "$#" -gt 0 ] || exit 0
            case $DG_TELL in
            counts) exec find "$@" -prune -cnewer "$DG_BEGAN" -exec sh -c "echo \$#" sh "{}" + 2>/dev/null ;;
            *) exec find "$@" -prune -cnewer "$DG_BEGAN" -print0 2>/dev/null ;;
            esac' sh
        ;;
    stamp:*)
        TZ=UTC0 xargs -0 sh -c '
            [ "$#" -gt 0 ] || exit 0
            flags=$(stat "$DG_STAT" "$DG_STAT_CTIME" "$@" 2>/dev/null | awk -v least="$DG_BEGAN_AT" -v names="$#" "
                { print ((\$0 \"\") >= (least \"\")) ? 1 : 0 }
                END { print (NR == names) ? \"whole\" : \"gone\" }")
            case $DG_TELL:$flags in
            counts:*whole)
                count=0
                for flag in $flags; do
                    [ "$flag" != 1 ] || count=$((count + 1))
                done
                echo "$count"
                ;;
            counts:*) echo "$#" ;;
            *whole)
                for flag in $flags; do
                    [ "$flag" != 1 ] || printf "%s\0" "$1"
                    [ "$flag" = whole ] || shift
                done
                ;;
            *) printf "%s\0" "$@" ;;
            esac' sh
        ;;
    all:counts) xargs -0 sh -c 'echo "$#"' sh ;;
    all:*) cat ;;
    esac
}

# sent_names [pruned]: what was sent to this workspace, as far as it is there; what is not goes to fd 3. With `pruned`
# SENT_PRUNED is set to what of it a walk does not come to, as in the manifest, and nothing printed.
sent_names() {
    [ -f "$DG_WS/sent" ] || return 0
    sent_lines=$(cat "$DG_WS/sent")
    sent_missing=0
    each_name "$sent_lines" "${1-}"
    [ "$sent_missing" -eq 0 ] || [ "$DG_TELL" != counts ] || printf '%s\n' "$sent_missing" >&3
}

# each_name LINES [pruned]: what sent_names does, for these lines of the manifest.
each_name() {
    each_wanted=${2-}
    each_ifs=$IFS
    IFS=$NL
    set -f
    # shellcheck disable=SC2086 # a name on each line
    set -- $1
    set +f
    IFS=$each_ifs
    for each_line; do
        sent_name=$each_line
        case $sent_name in
        *%*) decode_name ;;
        esac
        if ! is_ours "$sent_name"; then
            sent_missing=$((sent_missing + 1))
            [ "$DG_TELL" = counts ] || printf './%s\0' "$sent_name" >&3
            continue
        fi
        case $each_wanted/$sent_name/ in
        pruned*/.git/* | pruned*/.gummy/* | pruned*/node_modules/* | pruned*/__pycache__/*)
            SENT_PRUNED=$SENT_PRUNED$each_line$NL
            ;;
        /*) printf './%s\0' "$sent_name" ;;
        esac
    done
}

# decode_name: sent_name as it is in the manifest becomes what it is called: %25 is a per cent sign, %0A a newline.
decode_name() {
    decode_rest=$sent_name sent_name=
    while :; do
        case $decode_rest in
        *%*) sent_name=$sent_name${decode_rest%%\%*} decode_rest=${decode_rest#*%} ;;
        *) break ;;
        esac
        case $decode_rest in
        0A*) sent_name=$sent_name$NL decode_rest=${decode_rest#0A} ;;
        25*) sent_name=$sent_name% decode_rest=${decode_rest#25} ;;
        *) sent_name=$sent_name% ;;
        esac
    done
    sent_name=$sent_name$decode_rest
}

# count_work: how much this run changed (with DG_COLLECT new names, too); the mark goes if it is nothing. What cannot be
# counted stays marked. For the supervisor.
count_work() {
    if [ -z "$command_pid" ]; then # the command never began
        [ ! -f "$run/exit" ] || printf '0\n' 2>/dev/null >"$run/work"
        drop_work_mark "$DG_ID"
        return
    fi
    work_count=0 work_ended=
    for work_part in $(
        LC_ALL=C DG_TELL=counts
        export LC_ALL DG_TELL
        if ! cd "$DG_WORKSPACE" 2>/dev/null; then
            printf '?'
            exit
        fi
        choose_way
        [ "$WAY" != all ] || true 2>/dev/null >"$run/clock"
        list_work "$DG_COLLECT" 3>&1
        printf 'end\n'
    ); do
        case $work_part in
        end) work_ended=1 ;;
        *[!0-9]*) work_count=unknown ;;
        *) [ "$work_count" = unknown ] || work_count=$((work_count + work_part)) ;;
        esac
    done
    [ -n "$work_ended" ] || return 0
    case $work_count in
    *[!0-9]*) return 0 ;;
    esac
    printf '%s\n' "$work_count" 2>/dev/null >"$run/work"
    wake_follower
    [ "$work_count" != 0 ] || drop_work_mark "$DG_ID"
}
