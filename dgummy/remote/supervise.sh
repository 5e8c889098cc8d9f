# shellcheck shell=sh
# The supervisor of one run: it outlives the SSH session, runs the command in a process group of its own, ends that group
# when it is told to (TERM) or time is up, and writes down how it ended. Its variables come from start.sh.

supervise() {
    run=$DG_RUN asked='' killer='' watchdog='' command_pid=''
    trap '' HUP
    trap 'asked=1' TERM
    proc_start $$
    self_start=$START
    if ! printf '%s ' "$$ $self_start" 2>/dev/null >"$run/proc"; then # nobody could tell us from a dead one
        take "$run/launch"
        : >"$run/void"
        over_and_done
        return
    fi
    known_login_path "$DG_NOW"
    PATH=${DG_PATH_DIRS:+$DG_PATH_DIRS:}$LOGIN_PATH
    export PATH
    [ -z "$DG_GAP_S" ] || take_turn
    if ! take "$run/launch"; then # a client made sure that this never starts
        [ -f "$run/void" ] || : >"$run/void"
        over_and_done
        return
    fi
    if [ -n "$asked" ]; then
        finish 130 cancelled
        return
    fi
    [ -z "$DG_GAP_S" ] || DG_UP='' # agents name their files by the second: the clock's, not ours, which may be one ahead
    seconds_now
    DG_NOW=$NOW DG_UP=$UP
    printf '%s\n' "$NOW" >"$run/launched"
    choose_launcher
    [ "$LAUNCHER" != monitor ] || set -m
    (run_command) </dev/null >>"$run/out" 2>>"$run/err" &
    command_pid=$!
    proc_start "$command_pid"
    printf '%s\n' "$command_pid $START" 2>/dev/null >>"$run/proc"
    wake_follower
    [ -z "$DG_GAP_S" ] || pass_turn
    if [ -n "$DG_TIMEOUT_S" ]; then
        after "$DG_TIMEOUT_S" "$run/exit" ask_for_end timed_out
        watchdog=$!
    fi
    [ -n "$asked" ] || wait "$command_pid"
    status=$?
    if [ -z "$asked" ]; then
        finish "$status" exited
        return
    fi
    end_command
    read -r reason <"$run/cancel" 2>/dev/null || reason=cancelled
    case $reason in
    timed_out) finish 124 timed_out ;;
    *) finish 130 cancelled ;;
    esac
}

# put FILE LINE [NEW]: replace a file at once or not at all. Writes over NEW (FILE.new) where that is there: on a full
# disk that works.
put() {
    set -- "$1" "$2" "${3:-$1.new}"
    [ -f "$3" ] || true 2>/dev/null >"$3"
    printf '%-79s\n' "$2" 2>/dev/null 1<>"$3" && mv "$3" "$1"
}

# after SECONDS UNLESS COMMAND…: in the background; a TERM to $! ends it and its nap. So does the file UNLESS ('' for none)
# if it is there at the start: a shell that was just forked may lose a TERM, so make the file before you send one.
after() {
    (
        # shellcheck disable=SC2030 # for nap_for
        nap='' over=''
        trap 'over=1; [ -z "$nap" ] || { kill -KILL "$nap" 2>/dev/null; exit; }' TERM
        [ ! -f "$2" ] || exit
        nap_for "$1" || nap_for "$((${1%%.*} + 1))" # a sleep that knows no fractions
        shift 2
        "$@"
    ) </dev/null >/dev/null 2>&1 &
}

# nap_for SECONDS: a sleep that a TERM ends, also one that comes while it is only just being started.
# shellcheck disable=SC2031 # it runs in the subshell of after
nap_for() {
    nap=
    sleep "$1" &
    nap=$!
    if [ -n "$over" ]; then
        kill -KILL "$nap" 2>/dev/null
        exit
    fi
    wait "$nap"
}

# ask_for_end REASON: what the watchdog does. Signals again and again, because a signal that arrives just before `wait`
# begins does not end that wait.
ask_for_end() {
    put "$run/cancel" "$1"
    while is_process "$$" "$self_start" && kill -TERM "$$" 2>/dev/null; do
        nap_for 1
    done
}

# end_command: TERM to all of the command's process group, KILL after a while, and not done before none of it is left.
end_command() {
    family=
    group_alive "$command_pid" || family=$(descendants "$command_pid")
    signal_family TERM
    after "$DG_KILL_S" "$run/exit" signal_family KILL
    killer=$!
    while proc_start "$command_pid"; do
        wait "$command_pid"
    done
    wait "$command_pid" 2>/dev/null # reap it, else it keeps the group alive as a zombie
    end_left=$((DG_KILL_S * 10 + 50))
    while [ "$end_left" -gt 0 ] && family_alive; do
        sleep 0.1 2>/dev/null || sleep 1
        end_left=$((end_left - 1))
    done
}

# signal_family NAME: to the process group. Without perl and setsid, a shell that has no terminal may not have made one
# (dash, BusyBox): then to all that descends from the command.
signal_family() {
    if [ -z "$family" ]; then
        kill "-$1" "-$command_pid" 2>/dev/null
    else
        # shellcheck disable=SC2046,SC2086 # pids
        {
            [ "$1" != KILL ] || kill -STOP $(descendants $family) # none may start another while we go through them
            kill "-$1" $(descendants $family)
        } 2>/dev/null
    fi
}

family_alive() {
    [ -n "$family" ] || {
        group_alive "$command_pid"
        return
    }
    for family_pid in $family; do
        proc_start "$family_pid" && return
    done
    return 1
}

# descendants PID…: these and all that was started below them, as far as parents still live.
descendants() {
    { ps -A -o pid= -o ppid= || ps -o pid,ppid; } 2>/dev/null | awk -v roots="$*" '
        BEGIN { n = split(roots, words); for (i = 1; i <= n; i++) found[words[i]] }
        { parent[$1] = $2 }
        END {
            do {
                more = 0
                for (pid in parent) if (!(pid in found) && parent[pid] in found) { found[pid]; more = 1 }
            } while (more)
            for (pid in found) print pid
        }'
}

# Which program puts the command into a group of its own. A background job of a shell ignores INT and QUIT, and so would
# everything the command starts: perl can undo that, and so can a newer env.
choose_launcher() {
    if on_path perl; then
        LAUNCHER=perl PERL=$FOUND
        return
    elif ! on_path setsid; then
        LAUNCHER=monitor
        return
    fi
    LAUNCHER=setsid SETSID=$FOUND
    if on_path env && "$FOUND" --default-signal=INT true 2>/dev/null; then
        LAUNCHER='env' ENV=$FOUND
    fi
}

# run_command: becomes the command. Uses the login shell as ssh would, if it speaks sh. All it needs goes into its
# arguments before the values of --env are set, for these may have any name.
run_command() {
    trap - HUP
    if ! cd "$DG_DIR/$DG_SUBDIR"; then
        exit 126
    fi
    case ${SHELL##*/} in
    sh | bash | dash | zsh | ksh | mksh | ash) : ;;
    *) SHELL=/bin/sh ;;
    esac
    set -- "$SHELL" -c "$DG_COMMAND"
    # shellcheck disable=SC2016 # perl's own variables
    case $LAUNCHER in
    perl) set -- "$PERL" -e 'setpgrp; $SIG{$_} = "DEFAULT" for qw(INT QUIT HUP); exec { $ARGV[0] } @ARGV; exit 127' "$@" ;;
    env) set -- "$SETSID" "$ENV" --default-signal=INT,QUIT,HUP "$@" ;;
    setsid) set -- "$SETSID" "$@" ;;
    esac
    DGUMMY_RUN_ID=$DG_ID
    export DGUMMY_RUN_ID SHELL
    run_values=
    for name in $DG_ENV_NAMES; do
        run_values="$run_values export $name=\"\$DG_E_$name\"; unset DG_E_$name;"
    done
    run_values="unset DG_STATE DG_ROOT DG_RUN DG_ID DG_COMMAND DG_DIR DG_SUBDIR DG_WORKSPACE DG_TIMEOUT_S DG_KILL_S DG_GAP_S \
        DG_PATH_DIRS DG_ENV_NAMES DG_NOW DG_UP DG_FOLLOWER DG_COLLECT; $run_values"
    eval "$run_values exec \"\$@\""
}

# finish CODE REASON: write down the end, then let go of everything.
finish() {
    seconds_now
    finish_line="$1 $2 $NOW"
    put "$run/exit" "$finish_line" "$DG_STATE/active/$DG_ID" || put "$run/exit" "$finish_line"
    wake_follower
    over_and_done
}

# seconds_now: sets NOW to the time, counted on from the claim. By the clock only where it must be: one that was set
# meanwhile tells nothing, and to ask it takes a fork.
seconds_now() {
    seconds_up
    NOW=${UP:+${DG_UP:+$((DG_NOW + UP - DG_UP))}}
    NOW=${NOW:-$(date +%s)}
}

# wake_follower: the start and the end are worth a look. Whoever follows naps until then.
wake_follower() {
    # shellcheck disable=SC2086 # pid and start
    [ -z "$DG_FOLLOWER" ] || ! is_process $DG_FOLLOWER || kill -USR1 "${DG_FOLLOWER%% *}" 2>/dev/null
}

over_and_done() {
    [ -z "$watchdog" ] || kill "$watchdog" 2>/dev/null
    [ -z "$killer" ] || kill "$killer" 2>/dev/null
    if [ -n "$DG_WORKSPACE" ]; then
        workspace_key "$DG_WORKSPACE"
        count_work
        unlock_workspace "$DG_ID"
    fi
    [ ! -f "$DG_STATE/active/$DG_ID" ] || rm -f "$DG_STATE/active/$DG_ID"
}

# take_turn, pass_turn: starts on this host, whoever makes them, are at least DG_GAP_S apart. The turn is a folder; file proc
# in it names the process that keeps it: first this supervisor, then one that sleeps out the gap and gives it back.
take_turn() {
    turn=$DG_STATE/turn turn_nameless=0
    until mkdir "$turn" 2>/dev/null; do
        [ -z "$asked" ] || return 0
        { read -r turn_line <"$turn/proc"; } 2>/dev/null || turn_line=
        turn_nameless=$((turn_nameless + 1))
        [ -z "$turn_line" ] || turn_nameless=0
        # shellcheck disable=SC2086 # pid and start
        if [ -n "$turn_line" ] && ! is_process $turn_line; then
            break_lock "$turn" proc "$turn_line"
        elif [ "$turn_nameless" -gt 50 ]; then # whoever made it died before it said who it is
            break_lock "$turn" proc ''
        fi
        sleep 0.1 2>/dev/null || sleep 1
    done
    put "$turn/proc" "$$ $self_start"
}

pass_turn() {
    after "$DG_GAP_S" '' rm -rf "$turn"
    proc_start $!
    put "$turn/proc" "$! $START"
}
