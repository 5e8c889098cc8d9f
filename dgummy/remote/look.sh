# shellcheck shell=sh
# One look at a host for a watcher: how busy it is, what runs, its specialists and what agents cost. Raw facts only:
# dgummy/looking.py reads them. What the watcher has read before, and is as it was, is only named.
#
# Sizes are capped here, before anything is sent. Links are not followed out of the folders that are looked through.
#
# Variables from the caller: DG_ROOT (see lib.sh), DG_KNOWN (lines of ls that it knows, each between newlines),
# DG_OFFSETS (lines "OFFSET PATH": how much of a transcript it has read), DG_SINCE (when its day began, as
# 2026-11-24T00:00:00).

LOOK_MAX_RUNS=30 LOOK_MAX_LOGS=100 LOOK_MAX_TRANSCRIPTS=100 LOOK_MAX_PROJECTS=1000
LOOK_META_BYTES=16384 LOOK_LOG_BYTES=65536 LOOK_TRANSCRIPT_BYTES=4194304 LOOK_AGAIN_BYTES=65536

# look INTERVAL_S MAX_SPECIALISTS FOLDER… -- PATTERN…: FOLDERs are projects, PATTERNs are where more of them may be.
look() {
    LC_ALL=C
    export LC_ALL
    unset TIME_STYLE BLOCK_SIZE BLOCKSIZE LS_BLOCK_SIZE QUOTING_STYLE
    # shellcheck disable=SC2034 # for probe_load
    probe_interval=$1
    look_left=$2
    shift 2
    probe_machine
    look_runs
    look_agents
    look_how_to_list
    look_specialists "$@"
    look_transcripts
    look_logs
    probe_load
    fact date "$(date +%s)"
    fact probe-end ok
}

# -- what runs ---------------------------------------------------------------------------------------------------------

# Facts: shown-run ID, its command (the beginning of its first line) and last (the end of what it printed).
look_runs() {
    look_count=0
    for look_at in "$DG_STATE"/active/*; do
        look_id=${look_at##*/}
        look_run=$DG_STATE/runs/$look_id
        case $look_id in
        *[!A-Za-z0-9._-]*) continue ;;
        esac
        [ -f "$look_run/out" ] || continue
        look_count=$((look_count + 1))
        [ "$look_count" -le "$LOOK_MAX_RUNS" ] || break
        fact shown-run "$look_id"
        fact command "$(head -c 300 "$look_run/command" 2>/dev/null | tr -d '\000')"
        look_out=$look_run/out
        [ -s "$look_out" ] || look_out=$look_run/err
        look_text=$(tail -c 400 "$look_out" 2>/dev/null | tr -d '\000')
        fact last "${look_text##*"$NL"}"
    done
}

# Facts: agent PID FOLDER for each agent at work, agent-session for each session id in its arguments.
look_agents() {
    { ps -A -o pid= -o args= || ps -o pid,args; } 2>/dev/null | awk '
        function name(path) { sub(".*/", "", path); return path }
        name($2) ~ /^(gummy|claude)$/ || name($3) ~ /^(gummy|claude)$/ {
            line = $1
            for (i = 3; i <= NF && i < 200; i++)
                if ($i ~ /^[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+$/) line = line " " $i
            print line
            if (++count == 50) exit
        }' | while read -r look_pid look_sessions; do
        fact agent "$look_pid $(readlink "/proc/$look_pid/cwd" 2>/dev/null)"
        for look_session in $look_sessions; do
            fact agent-session "$look_session"
        done
    done
}

# -- files -------------------------------------------------------------------------------------------------------------

# Sets LOOK_TIME to the option by which ls tells times to the second. Fact: ls (that option, to be given as DG_LS next
# time).
look_how_to_list() {
    LOOK_TIME=${DG_LS-}
    if [ -n "$LOOK_TIME" ]; then
        :
    elif ls -ld --full-time / >/dev/null 2>&1; then
        LOOK_TIME=--full-time
    elif ls -ldT / >/dev/null 2>&1; then
        LOOK_TIME=-T
    fi
    fact ls "$LOOK_TIME"
    [ "$LOOK_TIME" != -T ] || fact zone "$(date +%z)"
}

# list_files NAMES: sets LISTED to the line of ls for each of NAMES (absolute, one a line).
list_files() {
    LISTED=
    look_ifs=$IFS IFS=$NL
    set -f
    # shellcheck disable=SC2086 # split into lines on purpose
    set -- $1
    set +f
    IFS=$look_ifs
    # shellcheck disable=SC2086 # nothing if there is no such option
    [ $# -eq 0 ] || LISTED=$(ls -lnd $LOOK_TIME -- "$@" 2>/dev/null)
}

# each_listed FUNCTION: calls FUNCTION LINE PATH SIZE for each regular file of LISTED that is not known as it is.
each_listed() {
    look_ifs=$IFS IFS=$NL
    set -f
    # shellcheck disable=SC2086 # split into lines on purpose
    set -- "$1" $LISTED
    set +f
    IFS=$look_ifs
    look_do=$1
    shift
    for look_line; do
        look_path=/${look_line#*/}
        case $NL${DG_KNOWN-}$NL in
        *"$NL$look_line$NL"*)
            # Without seconds two states of a file may look the same.
            if [ -n "$LOOK_TIME" ]; then
                fact same "$look_path"
                continue
            fi
            ;;
        esac
        look_size_of "$look_line" && "$look_do" "$look_line" "$look_path" "$LOOK_SIZE"
    done
}

# look_size_of LINE: sets LOOK_SIZE, the fifth column. Fails if that is no size.
look_size_of() {
    # shellcheck disable=SC2086 # split into columns on purpose; before the path nothing is a pattern
    set -- ${1%%/*}
    LOOK_SIZE=${5-}
    case $LOOK_SIZE in
    '' | *[!0-9]*) return 1 ;;
    esac
}

# -- specialists -------------------------------------------------------------------------------------------------------

# Facts: unreadable (folder, newline as a blank, a tab, why), specialist (its line of ls), then a meta for each line of
# its meta.yaml; more, if there are more than are told.
look_specialists() {
    look_seen=$NL look_metas='' look_sessions='' look_more=0 look_projects=0
    look_in "$HOME"
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        resolve_dir "$1"
        look_in "$DIR"
        shift
    done
    for look_ws in "$DG_STATE"/workspaces/*/path; do
        DIR=
        { read -r DIR <"$look_ws"; } 2>/dev/null
        [ -z "$DIR" ] || look_in "$DIR"
    done
    [ $# -eq 0 ] || shift
    for look_pattern; do
        look_matching "$look_pattern"
    done
    [ "$look_more" -eq 0 ] || fact more "$look_more"
    list_files "$look_metas"
    each_listed look_meta
}

# look_matching PATTERN: `~/x*` is below the home folder here, whatever the name of that holds.
look_matching() {
    # shellcheck disable=SC2088 # the tilde is literal: it stands for the home folder of this host
    case $1 in
    '~/'*) look_base=$HOME look_glob=${1#'~/'} ;;
    *) look_base=/ look_glob=${1#/} ;;
    esac
    cd "$look_base" 2>/dev/null || return 0
    look_ifs=$IFS IFS=
    # shellcheck disable=SC2086 # a pattern on purpose
    set -- $look_glob
    IFS=$look_ifs
    for look_project; do
        [ -L "$look_project" ] || [ ! -d "$look_project/.gummy/specialists" ] || look_in "${look_base%/}/$look_project"
    done
}

# look_in PROJECT: notes the files of its specialists in look_metas, once.
look_in() {
    case $look_seen in
    *"$NL$1$NL"*) return 0 ;;
    esac
    [ "$look_projects" -lt "$LOOK_MAX_PROJECTS" ] || return 0
    look_projects=$((look_projects + 1))
    look_seen=$look_seen$1$NL
    if [ -L "$1/.gummy" ] || [ -L "$1/.gummy/specialists" ] || [ ! -d "$1/.gummy/specialists" ]; then
        return 0
    fi
    for look_dir in "$1"/.gummy/specialists/*; do
        if [ ! -d "$look_dir" ] || [ -L "$look_dir" ]; then
            continue
        fi
        if [ "$look_left" -le 0 ]; then
            look_more=$((look_more + 1))
            continue
        fi
        look_left=$((look_left - 1))
        look_file=$look_dir/meta.yaml
        case $look_file in
        *"$NL"*) look_unreadable "$look_dir" 'its name holds a newline' ;;
        *)
            if [ -L "$look_file" ]; then
                look_unreadable "$look_dir" 'meta.yaml is a link'
            elif [ ! -e "$look_file" ]; then
                look_unreadable "$look_dir" 'it has no meta.yaml'
            elif [ ! -f "$look_file" ]; then
                look_unreadable "$look_dir" 'meta.yaml is no file'
            elif [ ! -r "$look_file" ]; then
                look_unreadable "$look_dir" 'permission denied'
            else
                look_metas=$look_metas$look_file$NL
            fi
            ;;
        esac
    done
}

look_unreadable() {
    fact unreadable "$1	$2"
}

# look_meta LINE PATH SIZE
look_meta() {
    if [ "$3" -gt "$LOOK_META_BYTES" ]; then
        look_unreadable "${2%/meta.yaml}" "meta.yaml has $3 bytes"
        return
    fi
    fact specialist "$1"
    look_count=0
    while { IFS= read -r look_text || [ -n "$look_text" ]; } && [ "$look_count" -lt 30 ]; do
        look_count=$((look_count + 1))
        fact meta "$look_text"
        case $look_text in
        session_id:*) look_sessions="$look_sessions ${look_text#session_id:}" ;;
        esac
    done <"$2"
}

# -- what agents wrote -------------------------------------------------------------------------------------------------

# Facts: transcript (its line of ls), then usage (a line of transcript_usage) for each answer of today, transcript-error
# if the newest answer is an error, and cut if it was too long to be read whole. DG_SESSIONS are those of specialists
# that the watcher knows already.
look_transcripts() {
    look_metas='' look_count=0
    set -f
    for look_session in ${DG_SESSIONS-} $look_sessions; do
        case $look_session in
        *[!A-Za-z0-9-]* | null) continue ;;
        esac
        set +f
        for look_file in "$HOME"/.claude/projects/*/"$look_session.jsonl"; do
            if [ ! -f "$look_file" ] || [ -L "$look_file" ] || [ "$look_count" -ge "$LOOK_MAX_TRANSCRIPTS" ]; then
                continue
            fi
            case $look_file in
            *"$NL"*) continue ;;
            esac
            look_count=$((look_count + 1))
            look_metas=$look_metas$look_file$NL
        done
        set -f
    done
    set +f
    list_files "$look_metas"
    look_whole=
    each_listed look_transcript
    with_paths transcript_usage "$look_whole"
}

# look_transcript LINE PATH SIZE: what is short and new is read together with others, see look_whole. Else from a little
# before where the watcher stopped (that line may have been half a line).
look_transcript() {
    look_from=0
    case $NL${DG_OFFSETS-} in
    *" $2$NL"*)
        look_from=${DG_OFFSETS%%" $2$NL"*}
        look_from=$((${look_from##*"$NL"} - LOOK_AGAIN_BYTES))
        ;;
    esac
    [ "$look_from" -ge 0 ] || look_from=0
    if [ "$look_from" -eq 0 ] && [ "$3" -le "$LOOK_TRANSCRIPT_BYTES" ]; then
        look_whole=$look_whole$1$NL
        return
    fi
    fact transcript "$1"
    if [ "$(($3 - look_from))" -gt "$LOOK_TRANSCRIPT_BYTES" ]; then
        fact cut "$(($3 - look_from - LOOK_TRANSCRIPT_BYTES))"
        look_from=$(($3 - LOOK_TRANSCRIPT_BYTES))
    fi
    # shellcheck disable=SC2119
    tail -c "+$((look_from + 1))" "$2" | head -c "$LOOK_TRANSCRIPT_BYTES" | transcript_usage
}

# with_paths FUNCTION LINES: calls FUNCTION PATH… for what lines of ls name; DG_LINES are the lines themselves.
with_paths() {
    [ -n "$2" ] || return 0
    look_do=$1 DG_LINES=$2
    export DG_LINES
    look_ifs=$IFS IFS=$NL
    set -f
    # shellcheck disable=SC2086 # split into lines on purpose
    set -- $2
    set +f
    IFS=$look_ifs
    for look_line; do
        set -- "$@" "/${look_line#*/}"
        shift
    done
    "$look_do" "$@"
}

# shellcheck disable=SC2120 # with_paths gives it some
# transcript_usage [PATH…]: facts as above; of files each begins with its transcript. A usage is one answer as a line of
# JSON in the transcript's own words, but without what it says; at most 5000. An answer without an id gets one: the
# watcher may read the same line again.
transcript_usage() {
    awk -v mark="$MARK" -v since="${DG_SINCE-}" '
        function word(text, name,  at) {
            at = index(text, "\"" name "\"")
            text = at ? substr(text, at + length(name) + 2, 100) : ""
            sub(/^: *"/, "", text)
            return match(text, /^[A-Za-z0-9_.:-]+/) ? substr(text, 1, RLENGTH) : ""
        }
        function last(text, name,  at, step) {
            at = 0
            while ((step = index(substr(text, at + 1), name)) > 0) at += step
            return at ? substr(text, at, 1000) : ""
        }
        function object(text,  at, depth, letter) {
            for (at = index(text, "{"); at && at <= length(text); at++) {
                letter = substr(text, at, 1)
                if (letter == "{") depth++
                if (letter == "}" && --depth == 0) return substr(text, index(text, "{"), at - index(text, "{") + 1)
            }
            return ""
        }
        function over() {
            if (error) print mark " transcript-error yes"
            error = 0
        }
        BEGIN {
            count = split(ENVIRON["DG_LINES"], lines, "\n")
            for (i = 1; i <= count; i++) line_of[substr(lines[i], index(lines[i], "/"))] = lines[i]
            count = 0
        }
        FNR == 1 && FILENAME != "" && FILENAME != "-" {
            over()
            print mark " transcript " line_of[FILENAME]
        }
        /"type": *"assistant"/ {
            error = $0 ~ /"isApiErrorMessage": *true/
            usage = object(last($0, "\"usage\""))
            when = word(last($0, "\"timestamp\""), "timestamp")
            if (usage == "" || when < since || ++count > 5000) next
            message = substr($0, index($0, "\"message\""))
            id = word(message, "id")
            if (id == "") id = "at-" when "-" length($0)
            printf "%s usage {\"type\":\"assistant\",\"timestamp\":\"%s\",\"message\":{\"id\":\"%s\",", mark, when, id
            printf "\"model\":\"%s\",\"usage\":%s}}\n", word(message, "model"), usage
        }
        END { over() }' "$@"
}

# Facts: log (its line of ls), then result (its last result line, or its beginning), session (of its first line) and
# last (the end of what was written). Tasks of a day ago may still run.
look_logs() {
    set --
    for look_file in "$HOME"/.claude/logs/gummy/gummy-*.log; do
        look_name=${look_file##*/gummy-}
        case $look_name in
        *-task.log | *-plan.log | *-execute.log) look_name=${look_name%%-*} ;;
        *) continue ;;
        esac
        case $look_name in
        '' | *[!0-9]* | ???????????*) continue ;;
        esac
        if [ "$look_name" -ge "${DG_LOGS_SINCE_S:-0}" ] && [ -f "$look_file" ] && [ ! -L "$look_file" ]; then
            set -- "$@" "$look_file"
            [ $# -le "$LOOK_MAX_LOGS" ] || shift
        fi
    done
    look_metas=
    for look_file; do
        look_metas=$look_metas$look_file$NL
    done
    list_files "$look_metas"
    look_whole=
    each_listed look_log
    with_paths logs_told "$look_whole"
}

# look_log LINE PATH SIZE: of a long one only the end is read.
look_log() {
    if [ "$3" -le "$LOOK_LOG_BYTES" ]; then
        [ "$3" -gt 0 ] || fact log "$1"
        look_whole=$look_whole$1$NL
    else
        fact log "$1"
        # shellcheck disable=SC2119
        { head -c 4096 "$2" | head -n 1 && echo && tail -c "$LOOK_LOG_BYTES" "$2"; } | logs_told
    fi
}

# shellcheck disable=SC2120
# logs_told [PATH…]: facts as above; of files each begins with its log.
logs_told() {
    awk -v mark="$MARK" '
        function over() {
            if (session != "") print mark " session " session
            if (result != "") print mark " result " substr(result, 1, 8192)
            if (said != "") print mark " last " substr(said, 1, 600)
            session = result = said = ""
        }
        BEGIN {
            count = split(ENVIRON["DG_LINES"], lines, "\n")
            for (i = 1; i <= count; i++) line_of[substr(lines[i], index(lines[i], "/"))] = lines[i]
        }
        FNR == 1 && FILENAME != "" && FILENAME != "-" {
            over()
            print mark " log " line_of[FILENAME]
        }
        FNR == 1 && match($0, /"session_id": *"[A-Za-z0-9-]+"/) {
            session = substr($0, RSTART, RLENGTH - 1)
            sub(/.*"/, "", session)
        }
        /"type": *"result"/ { result = $0 }
        /[^ \t\r]/ { said = $0 }
        END { over() }' "$@"
}
