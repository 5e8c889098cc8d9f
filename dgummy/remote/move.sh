# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # what a function sets, its caller reads; DG_EXPECTED is set by the caller
# Carry a specialist from one host to another: look at it, send it, write it beside its place, put it there, set the old
# one aside. Goes with workspace.sh, follow.sh and history.sh.
#
# SCOPE is project or global, DIR the project's folder; PLACE is that folder or the home folder, with links followed. A
# specialist is PLACE/.gummy/specialists/NAME, and what it remembers ~/.claude/projects/FOLDER/SESSION.jsonl. An ITEM is
# memory/FILE or transcript/FOLDER. What comes in lies in PLACE/.gummy/moved/NAME.coming, item by item.

# move_place SCOPE DIR NAME: sets PLACE, HERE (the home folder), MEMORY and INCOMING. Fails with WHY if there is no such
# place, or it is behind a link.
move_place() {
    LC_ALL=C
    export LC_ALL
    WHY=
    case $3 in
    '' | .* | */* | *"$NL"*)
        WHY="name $3"
        return 1
        ;;
    esac
    resolve_dir "$2"
    [ "$1" != global ] || DIR=$HOME
    if ! PLACE=$(cd "$DIR" 2>/dev/null && pwd -P) || ! HERE=$(cd "$HOME" && pwd -P) ||
        { [ "$1" = project ] && [ "$PLACE" = "$HERE" ]; }; then
        WHY="absent $DIR"
        return 1
    fi
    MEMORY=$PLACE/.gummy/specialists/$3
    INCOMING=$PLACE/.gummy/moved/$3.coming
    for move_link in "$PLACE/.gummy" "$PLACE/.gummy/specialists" "$MEMORY" "$PLACE/.gummy/moved" "$INCOMING" \
        "$HOME/.claude" "$HOME/.claude/projects"; do
        if [ -L "$move_link" ]; then
            WHY="linked $move_link"
            return 1
        fi
    done
}

# is_inside ITEM: whether that stays where it belongs.
is_inside() {
    case /$1/ in
    *//* | */../* | */./* | *"$NL"*) return 1 ;;
    esac
}

# find_specialist DIR NAME: facts lives SCOPE for each that there is, and trouble WHY.
find_specialist() {
    for find_scope in project global; do
        if ! move_place "$find_scope" "$1" "$2"; then
            fact trouble "$find_scope $WHY"
        elif [ -f "$MEMORY/meta.yaml" ]; then
            fact lives "$find_scope"
        fi
    done
}

# list_files PREFIX FOLDER: "CKSUM SIZE PREFIX/NAME" for every file below.
list_files() {
    (
        cd "$2" 2>/dev/null || exit 0
        find . -type f -print | while IFS= read -r list_name; do
            [ ! -f "$list_name" ] || list_file "$1/${list_name#./}" "$list_name" # one with a line break is none here
        done
    )
}

# list_file ITEM FILE: the same for one.
list_file() {
    # shellcheck disable=SC2046 # two words on purpose
    set -- "$1" $(cksum <"$2")
    printf '%s %s %s\n' "$2" "$3" "$1"
}

# measure: sets BYTES and FILES of all that MEMORY and TRANSCRIPTS hold.
measure() {
    unset BLOCK_SIZE BLOCKSIZE LS_BLOCK_SIZE
    measure_ifs=$IFS
    IFS=$NL
    set -f
    # shellcheck disable=SC2086 # a path on each line
    set -- "$MEMORY" $TRANSCRIPTS
    set +f
    IFS=$measure_ifs
    BYTES=$(find "$@" -type f -exec ls -ln {} + 2>/dev/null | {
        measure_bytes=0 measure_files=0
        while read -r _ _ _ _ measure_size _; do
            case $measure_size in '' | *[!0-9]*) continue ;; esac
            measure_bytes=$((measure_bytes + measure_size)) measure_files=$((measure_files + 1))
        done
        printf '%s %s' "$measure_bytes" "$measure_files"
    })
    FILES=${BYTES#* } BYTES=${BYTES% *}
}

# tell_specialist SCOPE DIR NAME TO SESSION MAX_BYTES MAX_FILES TOOL…: facts trouble WHY; or place, home, busy RUN,
# here, meta LINE, session-txt, odd NAME (what is neither file nor folder, or has no name that goes on a line), large
# "BYTES FILES" if it is more than that, else file "CKSUM SIZE ITEM", speaks FOLDER (it names its session in there), tool
# NAME. SESSION "" is its own.
tell_specialist() {
    if ! move_place "$1" "$2" "$3"; then
        fact trouble "$WHY"
        return 0
    fi
    fact place "$PLACE"
    fact home "$HERE"
    if [ "$1" = project ] && move_busy; then
        fact busy "$busy_run"
    fi
    (
        boot_id
        real_dir "$2"
        workspace_key "$DIR"
        tell_uncollected ''
    )
    SESSION=$5
    [ ! -e "$MEMORY" ] || tell_meta
    find_transcripts "$4"
    measure
    if [ "$BYTES" -gt "$6" ] || [ "$FILES" -gt "$7" ]; then
        fact large "$BYTES $FILES"
        return 0
    fi
    shift 7
    if [ -e "$MEMORY" ]; then
        tell_odd
        list_files memory "$MEMORY" | tell_lines
    fi
    list_transcripts | tell_lines
    tell_speaking
    [ "$#" -gt 0 ] || return 0
    login_path
    PATH=${DG_PATH_DIRS:+$DG_PATH_DIRS:}$LOGIN_PATH
    for tell_tool; do
        ! have "$tell_tool" || fact tool "$tell_tool"
    done
}

# move_busy: whether a run has PLACE to itself. Sets busy_run.
move_busy() {
    workspace_key "$PLACE"
    busy_run='' busy_since=''
    { read -r busy_run <"$DG_WS/lock/run" && read -r busy_since <"$DG_WS/lock/since"; } 2>/dev/null
    case $busy_run:$busy_since in
    :* | *: | *:*[!0-9]*) return 1 ;;
    esac
    boot_id
    run_state "$DG_STATE/runs/$busy_run"
    case $STATE in
    running) return 0 ;;
    claimed | absent) [ "$(($(date +%s) - busy_since))" -lt 120 ] ;; # a sync says every now and then that it goes on
    *) return 1 ;;
    esac
}

# tell_meta: what its files say of it. Sets SESSION to what it remembers by, unless that is set.
tell_meta() {
    fact here "$MEMORY"
    meta_session='' meta_txt=''
    if [ -f "$MEMORY/meta.yaml" ] && [ ! -L "$MEMORY/meta.yaml" ]; then
        meta_text=$(head -n 20 "$MEMORY/meta.yaml" | cut -c 1-500)
        meta_session=$(printf '%s\n' "$meta_text" | sed -n 's/^session_id:[ ]*//p' | head -n 1)
        printf '%s\n' "$meta_text" | while IFS= read -r meta_line; do
            fact meta "$meta_line"
        done
    fi
    if [ -f "$MEMORY/session.txt" ] && [ ! -L "$MEMORY/session.txt" ]; then
        meta_txt=$(head -c 500 "$MEMORY/session.txt" | head -n 1)
        fact session-txt "$meta_txt"
    fi
    SESSION=${SESSION:-${meta_txt:-$meta_session}}
}

# find_transcripts TO: sets TRANSCRIPTS to the files that are remembered under SESSION, a path on each line; those set
# aside for TO count where there is no other (a move was cut off there).
find_transcripts() {
    TRANSCRIPTS=
    case $SESSION in
    '' | null | *[!A-Za-z0-9_-]*) return 0 ;;
    esac
    for find_folder in "$HOME"/.claude/projects/*/; do
        find_folder=${find_folder%/}
        case ${find_folder##*/} in *"$NL"*) continue ;; esac
        [ ! -L "$find_folder" ] || continue
        find_best=
        for find_file in "$find_folder/$SESSION.jsonl.moved-to-$1" "$find_folder/$SESSION.jsonl.moved-to-$1".* \
            "$find_folder/$SESSION.jsonl"; do
            if [ -f "$find_file" ] && [ ! -L "$find_file" ]; then
                find_best=$find_file
            fi
        done
        [ -z "$find_best" ] || TRANSCRIPTS=$TRANSCRIPTS$find_best$NL
    done
}

# each_transcript COMMAND: calls it with the folder's name and the path of each.
each_transcript() {
    printf '%s' "$TRANSCRIPTS" | while IFS= read -r each_path; do
        each_folder=${each_path%/*}
        "$1" "${each_folder##*/}" "$each_path"
    done
}

list_transcripts() {
    each_transcript list_transcript
}

list_transcript() {
    list_file "transcript/$1" "$2"
}

tell_speaking() {
    each_transcript tell_if_speaking
}

tell_if_speaking() {
    if head -c 262144 "$2" | grep "\"session_*[iI]d\": *\"$SESSION\"" >/dev/null 2>&1; then
        fact speaks "$1"
    fi
}

# tell_lines: each line of the input as a fact.
tell_lines() {
    while IFS= read -r tell_line; do
        fact file "$tell_line"
    done
}

# tell_odd: what cannot be carried as it is.
tell_odd() {
    find "$MEMORY" ! -type d ! -type f -print | head -n 5 | while IFS= read -r odd_name; do
        fact odd "${odd_name#"$MEMORY"/}"
    done
    if [ -n "$(find "$MEMORY" -name "*$NL*" -print | head -n 1)" ]; then
        fact odd 'a name with a line break in it'
    fi
}

# send_specialist SCOPE DIR NAME TO SESSION ITEM…: fact sending ITEM before each, its bytes as data.
send_specialist() {
    move_place "$1" "$2" "$3" || return
    SESSION=$5
    find_transcripts "$4"
    shift 5
    for send_item; do
        is_inside "$send_item" || return
        fact sending "$send_item"
        case $send_item in
        memory/*)
            [ ! -L "$MEMORY/${send_item#memory/}" ] || return
            send_file file 0 "$MEMORY/${send_item#memory/}"
            ;;
        transcript/*) each_transcript send_if_asked ;;
        esac
    done
}

send_if_asked() {
    if [ "transcript/$1" = "$send_item" ]; then
        send_file file 0 "$2"
    fi
}

# put_mark SCOPE DIR NAME TOKEN, see_mark and drop_mark: by a mark that one host leaves another one tells whether both have
# the same folders (one machine with two names, a home folder that machines share). Facts same place, same home.
put_mark() {
    if ! move_place "$1" "$2" "$3"; then
        fact trouble "$WHY"
        return 1
    fi
    if ! mkdir -p "$PLACE/.gummy/moved" 2>/dev/null || ! mark "$PLACE/.gummy/moved/$3.mark" "$4"; then
        fact failed "permission cannot write $PLACE/.gummy/moved"
        return 1
    fi
    if ! (umask 077 && mkdir -p "$HOME/.claude/projects") 2>/dev/null ||
        ! mark "$HOME/.claude/projects/.$3.mark" "$4"; then
        fact failed "permission cannot write $HOME/.claude/projects"
        return 1
    fi
}

# mark FILE TOKEN: FILE is a new one: whoever put something else there does not lead us anywhere.
mark() {
    rm -f "$1" 2>/dev/null
    take "$1" && printf '%s\n' "$2" 2>/dev/null >>"$1"
}

see_mark() {
    move_place "$1" "$2" "$3" || return
    is_marked "$PLACE/.gummy/moved/$3.mark" "$4" && fact same place
    is_marked "$HOME/.claude/projects/.$3.mark" "$4" && fact same home
    return 0
}

# is_marked FILE TOKEN
is_marked() {
    { read -r marked <"$1"; } 2>/dev/null && [ "$marked" = "$2" ]
}

drop_mark() {
    move_place "$1" "$2" "$3" || return
    rm -f "$PLACE/.gummy/moved/$3.mark" "$HOME/.claude/projects/.$3.mark"
}

# begin_incoming SCOPE DIR NAME: a folder for what comes in, empty.
begin_incoming() {
    if ! move_place "$1" "$2" "$3"; then
        fact trouble "$WHY"
        return 1
    fi
    rm -rf "$INCOMING" 2>/dev/null
    if ! mkdir -p "$PLACE/.gummy/moved" 2>/dev/null || ! mkdir "$INCOMING" 2>/dev/null; then
        fact failed "permission cannot write $PLACE/.gummy/moved"
        return 1
    fi
}

# take_part SCOPE DIR NAME ITEM OFFSET WORD…: add bytes to an item that has OFFSET bytes by now. In a WORD a backslash is
# doubled and a NUL is \0000.
take_part() {
    if ! move_place "$1" "$2" "$3" || ! is_inside "$4" || [ ! -d "$INCOMING" ]; then
        fact failed "lost $INCOMING is not there any more"
        return 1
    fi
    take_file=$INCOMING/$4 take_at=$5
    shift 5
    case $take_file in "$INCOMING"/transcript/*) umask 077 ;; esac
    mkdir -p "${take_file%/*}" 2>/dev/null
    if [ "$take_at" = 0 ]; then
        : >"$take_file"
    fi 2>/dev/null
    take_size=$(wc -c <"$take_file" 2>/dev/null)
    if [ "$((${take_size:--1}))" -ne "$take_at" ]; then
        fact failed "disk $take_file has ${take_size:-no} bytes, not $take_at"
        return 1
    fi
    take_failed=
    for take_word; do
        printf '%b' "$take_word" || take_failed=1
    done >>"$take_file" 2>/dev/null
    if [ -n "$take_failed" ]; then
        fact failed "disk cannot write $take_file"
        return 1
    fi
}

# tell_incoming SCOPE DIR NAME: fact file "CKSUM SIZE ITEM" for each.
tell_incoming() {
    move_place "$1" "$2" "$3" || return
    for tell_kind in memory transcript; do
        list_files "$tell_kind" "$INCOMING/$tell_kind" | tell_lines
    done
}

# install_incoming SCOPE DIR NAME SESSION: put it in its place, what it remembers first. Facts exists PATH if something is
# there already: then nothing more is done.
install_incoming() {
    move_place "$1" "$2" "$3" || return
    for install_file in "$INCOMING"/transcript/*; do
        [ -f "$install_file" ] || continue
        install_folder=$HOME/.claude/projects/${install_file##*/}
        if [ -e "$install_folder/$4.jsonl" ] || [ -L "$install_folder/$4.jsonl" ] || [ -L "$install_folder" ]; then
            fact exists "$install_folder/$4.jsonl"
            return 1
        fi
        # Two steps, since the first one copies where this is another disk.
        if ! (umask 077 && mkdir -p "$install_folder") 2>/dev/null ||
            ! mv "$install_file" "$install_folder/.$4.coming" 2>/dev/null ||
            ! mv "$install_folder/.$4.coming" "$install_folder/$4.jsonl" 2>/dev/null; then
            fact failed "permission cannot write $install_folder"
            return 1
        fi
    done
    if [ -d "$INCOMING/memory" ]; then
        if [ -e "$MEMORY" ] || [ -L "$MEMORY" ]; then
            fact exists "$MEMORY"
            return 1
        fi
        if ! mkdir -p "${MEMORY%/*}" 2>/dev/null || ! mv "$INCOMING/memory" "$MEMORY" 2>/dev/null; then
            fact failed "permission cannot write ${MEMORY%/*}"
            return 1
        fi
    fi
    rm -rf "$INCOMING" 2>/dev/null
    return 0
}

# set_aside SCOPE DIR NAME TO SESSION FOLDER…: take the old one out of use, its transcripts in these folders first. Nothing
# is deleted or written over. DG_EXPECTED: what it must still be (list_files of it, and of these transcripts, sorted);
# else fact changed. Facts aside PATH.
set_aside() {
    move_place "$1" "$2" "$3" || return
    aside_name=$3 aside_to=$4 SESSION=$5
    shift 5
    find_transcripts "$aside_to"
    aside_now=$({
        list_files memory "$MEMORY"
        list_transcripts | only_in "$@"
    } | sort)
    if [ "$aside_now" != "$DG_EXPECTED" ]; then
        fact changed "$MEMORY"
        return 1
    fi
    for aside_folder; do
        aside_file=$HOME/.claude/projects/$aside_folder/$SESSION.jsonl
        if [ -f "$aside_file" ] && ! aside "$aside_file" "$aside_file.moved-to-$aside_to"; then
            return 1
        fi
    done
    mkdir -p "$PLACE/.gummy/moved" 2>/dev/null
    aside "$MEMORY" "$PLACE/.gummy/moved/$aside_name.moved-to-$aside_to" && fact aside "$ASIDE"
}

# only_in FOLDER…: of the lines of list_transcripts those that are about one of these.
only_in() {
    while read -r only_cksum only_size only_item; do
        for only_folder; do
            [ "$only_item" != "transcript/$only_folder" ] || printf '%s %s %s\n' "$only_cksum" "$only_size" "$only_item"
        done
    done
}

# aside FROM TO: rename it, to TO.2, TO.3 … if that is there. Sets ASIDE.
aside() {
    ASIDE=$2 aside_count=1
    while [ -e "$ASIDE" ] || [ -L "$ASIDE" ]; do
        aside_count=$((aside_count + 1))
        ASIDE=$2.$aside_count
    done
    if ! mv "$1" "$ASIDE" 2>/dev/null; then
        fact failed "permission cannot rename $1"
        return 1
    fi
}
