# shellcheck shell=sh
# shellcheck disable=SC3013 # -nt is not in POSIX 2008, but in dash, bash, BusyBox, ksh and zsh
# What an agent left behind, for judging whether it did its work: its result line, its report, what changed.

# agent_evidence RUN DIR LIMIT ID LOG REPORT…: ID is the agent's own task id where it is known, else "". LOG and REPORT are
# the ends of the names of its files (task.log, task-report.md). Facts: task-id, result (the log's last result line), report
# (path), verify (its exit code), changed and removed (names, at most LIMIT of each), more (how many were not named).
agent_evidence() {
    run=$DG_STATE/runs/$1
    resolve_dir "$2"
    evidence_limit=$3
    if [ -f "$run/verify" ]; then
        read -r verify_code <"$run/verify"
        fact verify "$verify_code"
    fi
    shift 3
    evidence_log "$@"
    cd "$DIR" 2>/dev/null || return 0
    evidence_changes
    workspace_key "$DIR"
    [ ! -f "$DG_WS/sent" ] || evidence_removed <"$DG_WS/sent"
}

# evidence_log ID LOG REPORT…: gummy names its files by the second in which it began. Starts on one host are at least 1.1 s
# apart, so ours is the first one from our launch on.
evidence_log() {
    evidence_ids=$1
    evidence_suffix=$2
    shift 2
    if [ -z "$evidence_ids" ]; then
        read -r launched <"$run/launched" 2>/dev/null || return 0
        evidence_ids="gummy-$launched gummy-$((launched + 1)) gummy-$((launched + 2))"
    fi
    for evidence_id in $evidence_ids; do
        evidence_file=$HOME/.claude/logs/gummy/$evidence_id-$evidence_suffix
        evidence_found=
        if [ -f "$evidence_file" ] && [ "$evidence_file" -nt "$run/claim" ]; then
            evidence_found=1
            # Not grep: for a log that holds bytes of no text it just says that it matches.
            fact result "$(LC_ALL=C sed -n '/"type": *"result"/p' "$evidence_file" | tail -n 1 | tr -d '\000' | head -c 65536)"
        fi
        for evidence_end; do
            evidence_report=$HOME/.claude/agent_comms/gummy/$evidence_id-$evidence_end
            if [ -s "$evidence_report" ] && [ "$evidence_report" -nt "$run/claim" ]; then
                evidence_found=1
                fact report "$evidence_report"
            fi
        done
        if [ -n "$evidence_found" ]; then
            fact task-id "$evidence_id"
            return
        fi
    done
}

# Files changed since the run was claimed, by this host's clock: a sync keeps the times that files have at home, and a clock
# that is ahead there would make them look new. (BusyBox has no -cnewer.) An agent's own memory (.gummy) is no work of its.
evidence_changes() {
    evidence_newer=-cnewer
    find "$run/claim" -cnewer "$run/claim" >/dev/null 2>&1 || evidence_newer=-newer
    find . \( -name .git -o -name .gummy -o -name node_modules -o -name __pycache__ \) -prune -o \
        \( -type f -o -type l \) "$evidence_newer" "$run/claim" -print 2>/dev/null | {
        changed=0
        while IFS= read -r changed_name; do
            changed=$((changed + 1))
            [ "$changed" -gt "$evidence_limit" ] || fact changed "${changed_name#./}"
        done
        [ "$changed" -le "$evidence_limit" ] || fact more "$((changed - evidence_limit))"
    }
}

# Names in the manifest that are not there any more.
evidence_removed() {
    removed=0
    while IFS= read -r removed_name; do
        if [ ! -e "./$removed_name" ] && [ ! -L "./$removed_name" ]; then
            case $removed_name in *%*) continue ;; esac
            removed=$((removed + 1))
            [ "$removed" -gt "$evidence_limit" ] || fact removed "$removed_name"
        fi
    done
}
