# shellcheck shell=sh
# Follow a run: its output from where the client stopped, in order of arrival, until it is over.

# follow_run ID OUT_OFFSET ERR_OFFSET
follow_run() {
    boot_id
    # What would change the columns of ls.
    LC_ALL=C
    export LC_ALL
    unset TIME_STYLE BLOCK_SIZE BLOCKSIZE LS_BLOCK_SIZE
    nap_pid=
    cd "$DG_STATE/runs/$1" 2>/dev/null || {
        fact absent "$1"
        return 1
    }
    await_files "$1" || return
    exec 3<out 4<err
    out_at=$2 err_at=$3
    skip "$2" <&3
    skip "$3" <&4
    quiet=0 beat_ms=0 announced=''
    while :; do
        woken=
        look
        if [ ! -f out ] || [ ! -f err ] || [ ! -f proc ]; then
            fact lost 'its folder was removed on the host'
            return
        fi
        send_new
        case $STATE:$new_bytes in
        ended:*) # we looked before we read, so this was all of it
            fact exit "$CODE $REASON $CLAIMED $ENDED"
            [ -z "$WORKSPACE" ] || tell_work
            return
            ;;
        lost:0)
            fact lost "$WHY"
            return
            ;;
        void:0)
            tell_void
            return
            ;;
        esac
        if [ "$new_bytes" -gt 0 ]; then
            [ "$quiet" -lt 16 ] || quiet=$((quiet * 3 / 4))
            [ "$new_bytes" -lt 262144 ] || continue
        fi
        pause
    done
}

# await_files ID: a run that was claimed a moment ago may not have its files yet. One that never gets them was never
# launched: make that final.
await_files() {
    await_tries=0
    while [ ! -f err ] || [ ! -s proc ]; do
        woken=
        if [ -f void ] || [ -f exit ]; then
            break
        fi
        await_tries=$((await_tries + 1))
        if [ "$await_tries" -gt 200 ]; then
            fact lost 'its files were removed on the host'
            return 1
        fi
        if [ "$await_tries" -eq 100 ] || { [ -e launch ] && [ ! -s proc ]; }; then
            void_run "$1" >/dev/null
        fi
        nap 0.1
    done
    if [ -f void ]; then
        tell_void
        return 1
    fi
}

# tell_work: how much it changed in its workspace. Its supervisor counts that just now; a large project takes a while.
tell_work() {
    { read -r SUP SUP_START _ <proc; } 2>/dev/null
    work_tries=0
    while [ "$work_tries" -lt 100 ]; do
        woken='' work_tries=$((work_tries + 1))
        is_process "$SUP" "$SUP_START" || work_tries=100
        if [ -s work ]; then
            read -r work_count _ <work
            fact work "$work_count"
            return
        fi
        [ "$work_tries" -lt 100 ] || return
        [ "$((work_tries % 50))" -ne 0 ] || fact beat "$quiet"
        nap 0.1
    done
}

# tell_void: that it never started, and "cancelled" if someone asked for that.
tell_void() {
    void_why=
    { read -r void_why <void; } 2>/dev/null
    fact void "$void_why"
}

# look: sets STATE. Cheap most of the time: where telling whether a process lives costs a fork, that is done now and then.
look() {
    if [ -f exit ] || [ -d /proc/self ] || [ "$((quiet % 8))" -eq 0 ]; then
        run_state .
    fi
    if [ -z "$announced" ] && [ "$STATE" = running ] && [ -n "$CMD" ]; then
        fact running "$CLAIMED"
        announced=1
    fi
}

# send_new: what is new of both streams; sets new_bytes. Forks nothing for a command that has not printed yet.
send_new() {
    new_bytes=0
    [ "$((out_at + err_at))" -gt 0 ] || [ -s out ] || [ -s err ] || return 0
    out_was=$out_at err_was=$err_at
    # shellcheck disable=SC2046,SC2012 # our own two file names; ls tells sizes without reading the files, everywhere
    set -- $(ls -ln err out)
    err_size=$5 out_size=${14}
    send out "$out_at" "$out_size" <&3
    out_at=$SENT
    send err "$err_at" "$err_size" <&4
    err_at=$SENT
    new_bytes=$((out_at + err_at - out_was - err_was))
}

# send STREAM FROM SIZE <file: what is new, in frames of up to 4 MiB; sets SENT to how far it got. The file is positioned:
# each read goes on where the last one stopped.
send() {
    SENT=$2
    while [ "$SENT" -lt "$3" ]; do
        send_n=$(($3 - SENT))
        [ "$send_n" -le 4194304 ] || send_n=4194304
        printf '%s <%s> %s\n' "$MARK" "$1" "$send_n"
        dd bs="$send_n" count=1 2>/dev/null
        SENT=$((SENT + send_n))
    done
}

# skip BYTES <file: move the file's position on.
skip() {
    [ "$(($1 / 65536))" -eq 0 ] || dd bs=65536 count="$(($1 / 65536))" >/dev/null 2>&1
    [ "$(($1 % 65536))" -eq 0 ] || dd bs="$(($1 % 65536))" count=1 >/dev/null 2>&1
}

# pause: short while things happen, longer when nothing does; a sign of life every five seconds. Each look costs the host
# a few milliseconds. Half a second after ten of silence keeps that below 1 % of a core.
pause() {
    quiet=$((quiet + 1))
    if [ "$quiet" -lt 16 ] && [ "$((out_at + err_at))" -gt 0 ]; then
        set -- 0.05 50
    elif [ "$quiet" -lt 48 ]; then
        set -- 0.1 100
    elif [ "$quiet" -lt 72 ]; then
        set -- 0.25 250
    else
        set -- 0.5 500
        [ "$quiet" -lt 144 ] || quiet=80 # lest it take long to get back to short ones
    fi
    nap "$1" || set -- 1 1000
    beat_ms=$((beat_ms + $2))
    if [ "$beat_ms" -ge 5000 ]; then
        fact beat "$quiet"
        beat_ms=0
    fi
}

# nap SECONDS: a sleep that USR1 interrupts, also one that came since `woken` was emptied. What is left of it is the next
# nap. Fails after a whole second if fractions are not known here.
nap() {
    [ -z "$woken" ] || return 0
    if [ -z "$nap_pid" ]; then
        sleep "$1" >/dev/null 2>&1 &
        nap_pid=$!
    fi
    if wait "$nap_pid"; then
        nap_pid=
    elif [ -z "$woken" ]; then
        nap_pid=
        sleep 1
        return 1
    fi
}

# start_and_follow ID: both in one round trip. The supervisor tells us of start and end by USR1.
start_and_follow() {
    woken='' nap_pid=''
    trap 'woken=1' USR1
    proc_start $$
    # shellcheck disable=SC2034 # start.sh hands it on
    DG_FOLLOWER="$$ $START"
    start_run "$1" && follow_run "$1" 0 0
    follow_status=$?
    if [ -n "$nap_pid" ]; then
        kill -KILL "$nap_pid"
        wait "$nap_pid"
    fi 2>/dev/null
    return "$follow_status"
}
