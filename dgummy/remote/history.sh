# shellcheck shell=sh
# Look back at runs: how they stand, what they printed, what there is, and clear away what is over. Goes with lib.sh,
# follow.sh (for reading) and start.sh (for calling off).

# is_run_id ID: whether that can be the name of a run's folder. Nothing else gets into a path.
is_run_id() {
    case $1 in
    '' | *[!a-z0-9-]*) return 1 ;;
    esac
}

# rest_of_run: after run_state said lost: sets REST to gone if nothing of it can be alive any more, else to alive.
rest_of_run() {
    REST=alive
    if was_restarted || [ ! -f "$run/launched" ] ||
        { [ -n "$CMD" ] && ! is_process "$CMD" "$CMD_START" && ! group_alive "$CMD"; }; then
        REST=gone
    fi
}

# tell_run ID: one fact "report ID STATE NOW CLAIMED LAUNCHED ENDED CODE REASON REST WHY", "-" for what is not known; and
# "work ID COUNT END" where that was counted or settled: END is collected or discarded. Times are this host's epoch seconds. REASON is that of the exit, or why it is void. Needs BOOT and NOW.
tell_run() {
    run=$DG_STATE/runs/$1
    run_state "$run"
    LAUNCHED='' REST=''
    { read -r LAUNCHED _ <"$run/launched"; } 2>/dev/null
    case $STATE in
    void) { read -r REASON _ <"$run/void"; } 2>/dev/null ;;
    lost) rest_of_run ;;
    esac
    CLAIMED=${CLAIMED%%[!0-9]*} ENDED=${ENDED%%[!0-9]*}
    fact report "$1 $STATE $NOW ${CLAIMED:--} ${LAUNCHED:--} ${ENDED:--} ${CODE:--} ${REASON:--} ${REST:--} $WHY"
    work_count='' work_end=''
    { read -r work_count _ <"$run/work"; } 2>/dev/null
    { read -r work_end _ <"$run/collected"; } 2>/dev/null
    [ -z "$work_count$work_end" ] || fact work "$1 ${work_count:--} ${work_end:--}"
}

# begin_report: what the functions below need; ranges of characters are those of ASCII.
begin_report() {
    LC_ALL=C
    export LC_ALL
    boot_id
    NOW=$(date +%s)
}

# report_runs ID…: how each of them stands.
report_runs() {
    begin_report
    for report_id; do
        ! is_run_id "$report_id" || tell_run "$report_id"
    done
}

# call_off WHY ID…: make sure that none of them ever starts, and say how each stands then.
call_off() {
    begin_report
    call_off_why=$1
    shift
    for call_off_id; do
        ! is_run_id "$call_off_id" || void_run "$call_off_id" "$call_off_why" >/dev/null
    done
    report_runs "$@"
}

# list_runs MINUTES [whole]: every run there is, as report_runs tells it, each followed by the facts owner, workspace and
# kind where they are known, and by "old" for a folder that tells no time and was not touched for so long. With `whole`
# its command and what meta says of it come too, as data.
list_runs() {
    begin_report
    for list_folder in "$DG_STATE"/runs/*; do
        list_id=${list_folder##*/}
        if ! is_run_id "$list_id" || [ ! -d "$list_folder" ] || [ -L "$list_folder" ]; then
            continue
        fi
        tell_run "$list_id"
        list_kind=
        { read -r list_kind <"$list_folder/meta"; } 2>/dev/null
        [ -z "$list_kind" ] || fact kind "$list_kind"
        [ -z "$OWNER" ] || fact owner "$OWNER"
        [ -z "$WORKSPACE" ] || fact workspace "$WORKSPACE"
        if [ -z "$CLAIMED" ] && [ -n "$(find "$list_folder" -prune -mmin "+$1" 2>/dev/null)" ]; then
            fact old "$list_id"
        fi
        if [ -n "${2-}" ]; then
            send_file command 0 "$list_folder/command"
            send_file meta 0 "$list_folder/meta"
        fi
    done
}

# send_file STREAM FROM FILE: what FILE holds by now, from a byte offset on. Nothing if it is not there.
send_file() {
    [ -f "$3" ] || return 0
    unset BLOCK_SIZE BLOCKSIZE LS_BLOCK_SIZE
    # shellcheck disable=SC2012 # ls tells a size without reading the file, everywhere
    file_size=$(ls -lnL "$3" | {
        read -r _ _ _ _ file_size _
        printf '%s' "$file_size"
    })
    {
        skip "$2"
        send "$1" "$2" "$file_size"
    } <"$3"
}

# read_output ID OUT_OFFSET ERR_OFFSET: what a run has printed by now, from these offsets on ("-": not that stream), and
# then how it stands.
read_output() {
    begin_report
    is_run_id "$1" || return
    [ "$2" = - ] || send_file out "$2" "$DG_STATE/runs/$1/out"
    [ "$3" = - ] || send_file err "$3" "$DG_STATE/runs/$1/err"
    tell_run "$1"
}

# forget_work ID: nothing marks a workspace as holding the work of that run any more.
forget_work() {
    for forget_mark in "$DG_STATE"/workspaces/*/uncollected; do
        forget_run=
        { read -r forget_run <"$forget_mark"; } 2>/dev/null
        [ "$forget_run" != "$1" ] || rm -f "$forget_mark"
    done
}

# remove_runs ID…: take away the folders of runs that are over. Facts removed ID, or kept ID WHY.
remove_runs() {
    begin_report
    for remove_id; do
        is_run_id "$remove_id" || continue
        run=$DG_STATE/runs/$remove_id
        run_state "$run"
        REST=gone
        [ "$STATE" != lost ] || rest_of_run
        case $STATE:$REST in
        ended:gone | void:gone | lost:gone | absent:gone) ;;
        *)
            fact kept "$remove_id $STATE"
            continue
            ;;
        esac
        if [ -L "$run" ]; then
            fact kept "$remove_id link"
        elif rm -rf "$run" "$DG_STATE/active/$remove_id" 2>/dev/null && [ ! -d "$run" ]; then
            forget_work "$remove_id"
            fact removed "$remove_id"
        else
            fact kept "$remove_id permission"
        fi
    done
}
