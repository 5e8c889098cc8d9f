# shellcheck shell=sh
# Look at a run, and end it.

# report_run ID: its state, without following it.
report_run() {
    boot_id
    run_state "$DG_STATE/runs/$1"
    case $STATE in
    ended) fact exit "$CODE $REASON $CLAIMED $ENDED" ;;
    lost) fact lost "$WHY" ;;
    *) fact "$STATE" "$1" ;;
    esac
}

# cancel_run ID KILL_S: end it, all of its process group, and say what became of it. Returns when that is known.
cancel_run() {
    boot_id
    run=$DG_STATE/runs/$1
    cancel_left=$((($2 + 5) * 4)) cancel_seen=''
    while :; do
        run_state "$run"
        case $STATE in
        running)
            [ -f "$run/cancel" ] || printf 'cancelled\n' >"$run/cancel"
            kill -TERM "$SUP" 2>/dev/null
            # Its supervisor may be more patient than whoever asks now.
            if [ "$cancel_left" -le 20 ] && is_process "$CMD" "$CMD_START"; then
                kill -KILL "-$CMD" 2>/dev/null || kill -KILL "$CMD" 2>/dev/null
            fi
            ;;
        claimed | absent)
            void_run "$1" cancelled && return
            ;;
        lost)
            # Its supervisor is gone; what is left of the command is ended here. Whose a process group is can be told only
            # while its leader is there.
            if ! was_restarted && is_process "$CMD" "$CMD_START"; then
                cancel_seen=1
            elif [ -z "$cancel_seen" ]; then
                break
            elif ! group_alive "$CMD"; then
                printf '130 cancelled %s\n' "$(date +%s)" >"$run/exit.new" && mv "$run/exit.new" "$run/exit"
                rm -f "$DG_STATE/active/$1"
                break
            fi
            kill -TERM "-$CMD" 2>/dev/null || kill -TERM "$CMD" 2>/dev/null
            [ "$cancel_left" -gt 20 ] || kill -KILL "-$CMD" 2>/dev/null || kill -KILL "$CMD" 2>/dev/null
            ;;
        *) break ;;
        esac
        cancel_left=$((cancel_left - 1))
        [ "$cancel_left" -gt 0 ] || break
        sleep 0.25 2>/dev/null || sleep 1
    done
    report_run "$1"
}
