# shellcheck shell=sh
# shellcheck disable=SC3013 # -nt is not in POSIX 2008, but in dash, bash, BusyBox, ksh and zsh
# What the agent of a run has cost so far: the lines of its log that tell, or of the transcript of a specialist, which keeps
# no log.

# agent_spending RUN DIR SOURCE FROM LIMIT ID LOG: DIR is where the agent works, ID and LOG are as for agent_evidence. FROM is
# how far SOURCE was read before. Facts: launched (epoch seconds), source (kind and path), line (one each, without those of
# more than 64 KiB), at (how far it was read now, at most LIMIT bytes on), size.
agent_spending() {
    run=$DG_STATE/runs/$1
    resolve_dir "$2"
    read -r launched <"$run/launched" 2>/dev/null || return 0
    fact launched "$launched"
    spending_log "$6" "$7"
    [ -n "$SPENDING" ] || spending_transcript
    [ -n "$SPENDING" ] || return 0
    spending_from=0
    [ "$SPENDING" != "$3" ] || spending_from=$4
    fact source "$SPENDING"
    spending_file=${SPENDING#* }
    fact size "$(wc -c <"$spending_file" | tr -d ' ')"
    spending_lines "$spending_file" "$spending_from" "$5"
}

# spending_log ID LOG: sets SPENDING to "log PATH", or to ''. See evidence_log for which one is ours.
spending_log() {
    SPENDING=
    for spending_id in ${1:-gummy-$launched gummy-$((launched + 1)) gummy-$((launched + 2))}; do
        spending_path=$HOME/.claude/logs/gummy/$spending_id-$2
        if [ -f "$spending_path" ] && [ ! -L "$spending_path" ] && [ "$spending_path" -nt "$run/claim" ]; then
            SPENDING="log $spending_path"
            return
        fi
    done
}

# spending_transcript: sets SPENDING to "transcript PATH", the one of the agent's folder that was written to last since the
# claim, or to ''.
spending_transcript() {
    SPENDING=
    spending_newest=$run/claim
    cd "$DIR" 2>/dev/null || return 0
    for spending_cwd in "$PWD" "$(pwd -P)"; do
        spending_key=$(printf '%s' "$spending_cwd" | LC_ALL=C sed 's/[^A-Za-z0-9]/-/g')
        for spending_path in "$HOME/.claude/projects/$spending_key"/*.jsonl; do
            if [ -f "$spending_path" ] && [ ! -L "$spending_path" ] && [ "$spending_path" -nt "$spending_newest" ]; then
                spending_newest=$spending_path
                SPENDING="transcript $spending_path"
            fi
        done
    done
}

# spending_lines FILE FROM LIMIT: whole lines only. What comes after the last newline is left for the next time, told by the x
# that is put after it; a line longer than LIMIT is passed over in pieces.
spending_lines() {
    {
        tail -c "+$(($2 + 1))" "$1" | head -c "$3" | tr '\000' ' '
        echo x
    } | LC_ALL=C awk -v mark="$MARK" -v at="$2" -v limit="$3" '
        NR > 1 {
            at += length(line) + 1
            if (length(line) <= 65536 && line ~ /"type": *"(assistant|result|system)"/) print mark " line " line
        }
        { line = $0 }
        END {
            if (NR == 1 && length(line) > limit) at += limit
            print mark " at " at
        }'
}
