# shellcheck shell=sh
# shellcheck disable=SC2016,SC2154 # what the inner shells and awk expand; what work.sh and history.sh set
# shellcheck disable=SC3013 # -nt is not in POSIX 2008, but in dash, bash, BusyBox, ksh and zsh
# Bring home what a run changed in its workspace: tell it, send it, settle it. Every call can be repeated. Goes with
# workspace.sh, sync.sh, work.sh, start.sh, follow.sh, history.sh and agent.sh.
#
# No name goes into a fact: names are data, each with a NUL behind it. Nothing is read through a link.

# enter_work ID DIR: go to the workspace of a run that is over and was the last one there. Facts absent DIR; state STATE if it
# is not over; busy RUN OWNER; later RUN if what it changed cannot be told apart any more.
enter_work() {
    begin_report
    run=$DG_STATE/runs/$1
    is_run_id "$1" || return
    enter_tries=0
    while [ "$enter_tries" -lt 100 ] && [ -f "$run/exit" ] && [ ! -s "$run/work" ] && is_counting "$run"; do
        enter_tries=$((enter_tries + 1))
        sleep 0.1 2>/dev/null || sleep 1
    done
    run_state "$run"
    REST=gone
    [ "$STATE" != lost ] || rest_of_run
    case $STATE:$REST in
    ended:* | lost:gone) ;;
    lost:*)
        fact state running
        return 1
        ;;
    *)
        fact state "$STATE"
        return 1
        ;;
    esac
    real_dir "$2"
    if ! cd "$DIR" 2>/dev/null; then
        fact absent "$DIR"
        return 1
    fi
    workspace_key "$DIR"
    if is_taken "$1"; then
        fact busy "$HOLDER $HOLDER_OWNER"
        return 1
    fi
    is_last "$1"
}

# is_taken ID: whether a run other than ID has the workspace, and is at work there or about to be. Sets HOLDER, HOLDER_OWNER.
is_taken() {
    HOLDER='' HOLDER_OWNER='' taken_since=''
    {
        read -r HOLDER <"$DG_WS/lock/run" && read -r HOLDER_OWNER <"$DG_WS/lock/owner" &&
            read -r taken_since <"$DG_WS/lock/since"
    } 2>/dev/null
    case $HOLDER:$taken_since in
    "$1":* | :* | *: | *:*[!0-9]*) return 1 ;;
    esac
    run_state "$DG_STATE/runs/$HOLDER"
    case $STATE in
    running) return 0 ;;
    claimed | absent) [ "$((NOW - taken_since))" -lt 120 ] ;; # a sync says every now and then that it goes on
    *) return 1 ;;
    esac
}

# is_last ID: whether the workspace was opened for no other run since; else fact later RUN.
is_last() {
    last_run=
    { read -r last_run <"$DG_WS/last"; } 2>/dev/null
    [ "$last_run" != "$1" ] || return 0
    fact later "$last_run"
    return 1
}

# tell_changes ID DIR: what the run changed. Streams names (changed or new, some maybe twice), stats (a line for each of them,
# see stat_names), unreadable (those of them that cannot be read, and folders), missing (what was sent and is not there any
# more); facts as in tell_own_git, and told at the end.
tell_changes() {
    enter_work "$1" "$2" || return
    DG_TELL=names
    export DG_TELL
    choose_way
    tell_files=$run/telling.$$
    if ! tell_listed; then
        fact failed "disk cannot write $run"
    elif ! choose_stat; then
        fact failed "tool there is no stat on this host"
    else
        tell_names "$tell_files.names"
        send_file unreadable 0 "$tell_files.closed"
        send_file missing 0 "$tell_files.missing"
        tell_own_git
        is_last "$1" && fact told "$1"
    fi
    tell_status=$?
    rm -f "$tell_files".*
    return "$tell_status"
}

# tell_listed: lists into files beside $tell_files. Fails if the disk is full.
tell_listed() {
    {
        {
            list_work new
            list_moved
            : # only a disk that is full counts here
        } 3>"$tell_files.missing" >"$tell_files.names" &&
            unreadable_dirs >"$tell_files.closed" <"$tell_files.dirs" &&
            for tell_list in missing names closed; do
                # What a full disk cut short has no room for this, either.
                printf '/\0' >>"$tell_files.$tell_list" || return
            done
    } 2>/dev/null
}

# list_moved: a folder that was renamed keeps the times of what is in it. So: all that is below folders that are not known
# from what was sent and whose status changed, and below those that changed their status but not what is in them.
list_moved() {
    walk -type d ! -path . >"$tell_files.dirs"
    [ "$WAY" != all ] && [ -s "$tell_files.dirs" ] || return 0
    [ -f "$DG_WS/sent" ] || : >>"$DG_WS/sent"
    {
        xargs -0 sh -c '[ "$#" -eq 0 ] || exec find "$@" -prune ! -newer "$DG_BEGAN" -print0 2>/dev/null' sh <"$tell_files.dirs"
        unknown_dirs <"$tell_files.dirs"
    } | xargs -0 sh -c '[ "$#" -eq 0 ] || exec find "$@" \
        \( -name .git -o -name .gummy -o -name node_modules -o -name __pycache__ \) -prune -o ! -type d -print0 2>/dev/null' sh
}

# unknown_dirs: of these folders the ones that nothing was sent into. awk knows lines, so newlines go as \001; a name that
# has one of its own is not looked up: it counts as unknown.
unknown_dirs() {
    tr '\n\000' '\001\n' | awk '
        of == "sent" {
            while (match($0, /\/[^\/]*$/)) {
                $0 = substr($0, 1, RSTART - 1)
                if ($0 in known) break
                known[$0] = 1
            }
            next
        }
        {
            name = substr($0, 3)
            gsub(/%/, "%25", name)
            if (index(name, "\001") || !(name in known)) print
        }' of=sent "$DG_WS/sent" of=dirs - | {
        # A \001 is a newline, or itself: both are tried. What is not there is not found.
        unknown_lines=$(cat)
        [ -n "$unknown_lines" ] || exit 0
        printf '%s\n' "$unknown_lines" | tr '\001\n' '\n\000'
        printf '%s\n' "$unknown_lines" | sed -n '/'"$SOH"'/p' | tr '\n' '\000'
    }
}
SOH=$(printf '\001')

# unreadable_dirs: of these folders the ones that cannot be looked into.
unreadable_dirs() {
    xargs -0 sh -c 'for name; do [ -r "$name" ] && [ -x "$name" ] || printf "%s\0" "$name"; done' sh
}

# tell_names FILE: the names in FILE, which ends with the name "/". Streams names, stats, unreadable.
tell_names() {
    send_file names 0 "$1"
    stat_names <"$1" >"$1.stats" && send_file stats 0 "$1.stats"
    xargs -0 sh -c 'for name; do [ -L "$name" ] || [ -r "$name" ] || printf "%s\0" "$name"; done' sh <"$1" >"$1.closed" &&
        send_file unreadable 0 "$1.closed"
}

# stat_names: for each name a line: its mode (hexadecimal), size, and time of last change; "-" if it is not there. Needs
# choose_stat.
stat_names() {
    TZ=UTC0 xargs -0 sh -c '
        [ "$#" -gt 0 ] || exit 0
        stat "$DG_STAT" "$DG_STAT_LINE" "$@" 2>/dev/null | awk -v names="$#" "
            { lines[NR] = \$0 }
            END { if (NR != names) exit 1; for (i = 1; i <= NR; i++) print lines[i] }" && exit
        for name; do
            line=$(stat "$DG_STAT" "$DG_STAT_LINE" "$name" 2>/dev/null) || line=-
            printf "%s\n" "$line"
        done' sh
}

# send_files ID DIR NAME…, send_links ID DIR NAME…: stream stats (as above), stream file: the contents of all of them (for
# links, where they lead) one after the other, each as long as its stats say. Fact steady if they stayed as they were;
# else what came is worth nothing. Fact gone N for each (counted from 1) that is no such file any more, or lies behind a
# link: then nothing is sent.
send_files() {
    enter_work "$1" "$2" || return
    send_id=$1
    shift 2
    send_contents files "$@" && is_last "$send_id" && fact steady "$send_id"
}

send_links() {
    enter_work "$1" "$2" || return
    send_id=$1
    shift 2
    send_contents links "$@" && is_last "$send_id" && fact steady "$send_id"
}

# send_reports NAME…: the same for files below ~/.claude/agent_comms.
send_reports() {
    begin_report
    [ ! -L "$HOME/.claude" ] && [ ! -L "$HOME/.claude/agent_comms" ] && cd "$HOME/.claude/agent_comms" 2>/dev/null || return
    send_contents files "$@" && fact steady reports
}

send_contents() {
    send_kind=$1 send_at=0 send_gone=
    shift
    for send_name; do
        send_at=$((send_at + 1))
        case /$send_name/ in
        *//* | */../* | */./*) send_gone=1 ;;
        *) is_sendable "$send_name" && continue ;;
        esac
        fact gone "$send_at"
        send_gone=1
    done
    [ -z "$send_gone" ] && choose_stat || return
    send_stats=$(printf './%s\0' "$@" | stat_names)
    send_bytes=$(printf '%s\n' "$send_stats" | awk '{ total += $2 } END { printf "%.0f", total }')
    printf '%s <stats> %s\n%s\n' "$MARK" "$((${#send_stats} + 1))" "$send_stats"
    if [ "$send_bytes" -gt 0 ]; then
        printf '%s <file> %s\n' "$MARK" "$send_bytes"
        # However long they are by now, it is as much as was announced; whether cat read all of them is told beside that.
        { send_whole=$({
            {
                "concat_$send_kind" "$@" && printf 1 >&4
                cat /dev/zero
            } 2>/dev/null | head -c "$send_bytes" >&5
        } 4>&1); } 5>&1
        [ "$send_whole" = 1 ] || return
    fi
    [ "$(printf './%s\0' "$@" | stat_names)" = "$send_stats" ]
}

# is_sendable NAME: whether that is (still) a file or link, reached through real folders.
is_sendable() {
    safe_parent "$1" || return
    case $send_kind in
    links) [ -L "./$1" ] ;;
    files) [ ! -L "./$1" ] && [ -f "./$1" ] && [ -r "./$1" ] ;;
    esac
}

concat_files() {
    printf './%s\0' "$@" | xargs -0 cat
}

concat_links() {
    if find . -prune -printf '' 2>/dev/null; then
        printf './%s\0' "$@" | xargs -0 sh -c 'exec find "$@" -prune -type l -printf %l' sh
        return
    fi
    for link_name; do
        link_target=$(readlink "./$link_name" && printf /) || return
        printf '%s' "${link_target%"$NL"/}"
    done
}

# list_below ID DIR PREFIX MAX_BYTES: regular files below PREFIX ("" for all), also what git ignores: streams as tell_names,
# fact more if the names are more than that, and told.
list_below() {
    enter_work "$1" "$2" || return
    choose_stat || return
    tell_files=$run/telling.$$
    set -- "$1" "${3%/}" "$4"
    below=.
    if [ -n "$2" ]; then
        case /$2/ in
        *//* | */../* | */./*) return 1 ;;
        esac
        safe_parent "$2/x" || return
        below=./$2
    fi
    find "$below" -name .git -prune -o -type f -print0 2>/dev/null | head -c "$(($3 + 1))" >"$tell_files.names" || return
    if [ "$(wc -c <"$tell_files.names")" -gt "$3" ]; then
        fact more "$3"
        : >"$tell_files.names"
    fi
    printf '/\0' >>"$tell_files.names" && tell_names "$tell_files.names" && fact told "$1"
    tell_status=$?
    rm -f "$tell_files".*
    return "$tell_status"
}

# tell_reports ID TASK_ID LOG REPORT…: all that the agent wrote for people (see evidence_log): streams as tell_names, names
# relative to ~/.claude/agent_comms, facts as in evidence_log, and told.
tell_reports() {
    begin_report
    run=$DG_STATE/runs/$1
    is_run_id "$1" && [ -d "$run" ] && choose_stat || return
    reports_id=$1 reports_task=$2
    shift
    # The log's last line is not asked for here.
    evidence_log "$@" | while IFS= read -r reports_line; do
        case $reports_line in
        "$MARK task-id "*) printf '%s' "${reports_line#"$MARK task-id "}" ;;
        esac
    done >"$run/telling.$$.task" || return
    { read -r reports_task || [ -n "$reports_task" ]; } <"$run/telling.$$.task"
    tell_files=$run/telling.$$
    if [ ! -L "$HOME/.claude" ] && [ ! -L "$HOME/.claude/agent_comms" ] && [ -n "$reports_task" ] &&
        cd "$HOME/.claude/agent_comms" 2>/dev/null; then
        fact task-id "$reports_task"
        for reports_name in "gummy/$reports_task"-*; do
            if [ -f "$reports_name" ] && [ ! -L "$reports_name" ] && [ ! -L gummy ] && [ "$reports_name" -nt "$run/claim" ]; then
                printf './%s\0' "$reports_name"
            fi
        done >"$tell_files.names"
        printf '/\0' >>"$tell_files.names" && tell_names "$tell_files.names"
    fi && fact told "$reports_id"
    tell_status=$?
    rm -f "$tell_files".*
    return "$tell_status"
}

# own_git WORD…: git in the workspace's own repository. Nothing that its settings name is executed, nothing is fetched.
own_git() {
    (
        for git_name in $(env | sed -n 's/^\(GIT_[A-Z0-9_]*\)=.*/\1/p'); do
            unset "$git_name"
        done
        GIT_OPTIONAL_LOCKS=0 GIT_TERMINAL_PROMPT=0 GIT_ALLOW_PROTOCOL=none GIT_NO_LAZY_FETCH=1 GIT_CONFIG_NOSYSTEM=1
        GIT_NO_REPLACE_OBJECTS=1
        export GIT_OPTIONAL_LOCKS GIT_TERMINAL_PROMPT GIT_ALLOW_PROTOCOL GIT_NO_LAZY_FETCH GIT_CONFIG_NOSYSTEM \
            GIT_NO_REPLACE_OBJECTS
        limited 60 git --no-pager --git-dir=.git --work-tree=. -c core.hooksPath=/dev/null -c core.fsmonitor=false \
            -c gc.auto=0 -c core.sshCommand=false -c protocol.allow=never "$@" 2>/dev/null </dev/null
    )
}

# tell_own_git: fact own_git HEAD COUNT BYTES if a repository here was made or committed to during the run: its HEAD, how many
# commits on it are the run's, and about how much they hold ("-" if it does not tell). Fact own_git_base COMMIT for each that
# they stand on: HEAD before the run, and what was collected before.
tell_own_git() {
    [ -d .git ] && [ ! -L .git ] && have git || return 0
    git_head=$(own_git rev-parse --verify 'HEAD^{commit}' >"$tell_files.git" && head -c 64 "$tell_files.git") || return 0
    git_bases=$(own_git_bases)
    git_not=
    for git_base in $git_bases; do
        [ "$git_base" != "$git_head" ] || return 0
        git_not="$git_not ^$git_base"
    done
    # shellcheck disable=SC2086 # ids of commits
    {
        own_git rev-list --count "$git_head" $git_not >"$tell_files.git" && read -r git_count <"$tell_files.git"
        own_git rev-list --objects --disk-usage "$git_head" $git_not >"$tell_files.git"
        read -r git_bytes <"$tell_files.git"
    }
    [ "${git_count:-0}" != 0 ] || return 0
    fact own_git "$git_head $git_count ${git_bytes:--}"
    for git_base in $git_bases; do
        fact own_git_base "$git_base"
    done
}

# own_git_bases: commits that are not the run's: HEAD as the reflog has it from before the run, and what was collected.
own_git_bases() {
    # Not `launched`: that may be a second ahead of the clock that git reads. Where the clock was set back, all are the run's.
    git_since=${BEGAN_S:-0} git_before=
    [ "$WAY" != all ] || git_since=0
    if [ -f .git/logs/HEAD ] && [ ! -L .git/logs ] && [ ! -L .git/logs/HEAD ]; then
        git_before=$(awk -v since="$git_since" '
            {
                at = $0
                sub(/\t.*/, "", at)
                words = split(at, word, " ")
                if (word[words - 1] + 0 >= since + 0) { found = $1; exit }
                last = $2
            }
            END { print found ? found : last }' .git/logs/HEAD)
    fi
    git_collected=
    { read -r git_collected _ <"$DG_WS/collected-head"; } 2>/dev/null
    for git_base in $git_before $git_collected; do
        case $git_base in
        *[!0-9a-f]* | *0000000000000000) continue ;;
        esac
        if own_git cat-file -e "$git_base^{commit}"; then
            printf '%s\n' "$git_base"
        fi
    done | sort -u
}

# send_bundle ID DIR HEAD MAX_BYTES NOT…: the commits of HEAD that are not in NOT, as a git bundle: stream bundle, fact told. Fact
# moved if HEAD is another one by now, large BYTES if it is more than that.
send_bundle() {
    enter_work "$1" "$2" || return
    bundle_id=$1 bundle_head=$3 bundle_max=$4
    shift 4
    tell_files=$run/telling.$$
    for bundle_not; do
        shift
        case $bundle_not in
        '' | *[!0-9a-f]*) return 1 ;;
        esac
        set -- "$@" "^$bundle_not"
    done
    if [ -d .git ] && [ ! -L .git ] && have git && own_git rev-parse --verify 'HEAD^{commit}' >"$tell_files.git" &&
        own_git bundle create "$tell_files.bundle" HEAD "$@" >/dev/null; then
        bundle_now=$(head -c 64 "$tell_files.git")
        bundle_bytes=$(wc -c <"$tell_files.bundle")
        if [ "$bundle_now" != "$bundle_head" ]; then
            fact moved "$bundle_now"
        elif [ "$bundle_bytes" -gt "$bundle_max" ]; then
            fact large "$((bundle_bytes))"
        else
            send_file bundle 0 "$tell_files.bundle"
            fact told "$bundle_id"
        fi
    else
        fact failed "git cannot make a bundle of $bundle_head"
    fi
    rm -f "$tell_files".*
}

# settle_work ID DIR WORD [HEAD]: what the run changed is collected or discarded (WORD). HEAD: of its own repository what was
# collected.
settle_work() {
    begin_report
    is_run_id "$1" || return
    real_dir "$2"
    workspace_key "$DIR"
    if [ -n "${4-}" ] && ! printf '%s\n' "$4" 2>/dev/null >"$DG_WS/collected-head"; then
        fact failed "disk cannot write $DG_WS"
        return 1
    fi
    if [ -d "$DG_STATE/runs/$1" ] && ! printf '%s\n' "$3" 2>/dev/null >"$DG_STATE/runs/$1/collected"; then
        fact failed "disk cannot write $DG_STATE/runs/$1"
        return 1
    fi
    drop_work_mark "$1"
    fact settled "$1"
}
