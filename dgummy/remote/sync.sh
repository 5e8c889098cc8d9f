# shellcheck shell=sh
# shellcheck disable=SC2154 # MARK, DG_WS and DG_MANIFEST are set by the caller
# What a sync does on the host beside rsync: delete what was sent before and is gone, remember what was sent.
# Needs lib.sh. DG_WS is the workspace's own folder below $DG_STATE; the project folder is the current one.

# safe_parent NAME: whether no folder on the way to NAME is a symbolic link. Sets PARENT ("" at the top).
# The last answer is remembered: names come grouped by folder.
SAFE_OK='' SAFE_BAD=''
safe_parent() {
    case $1 in
    */*) PARENT=${1%/*} ;;
    *)
        PARENT=
        return 0
        ;;
    esac
    [ "$PARENT" != "$SAFE_OK" ] || return 0
    [ "$PARENT" != "$SAFE_BAD" ] || return 1
    safe_rest=$PARENT/
    safe_path=.
    while [ -n "$safe_rest" ]; do
        safe_path=$safe_path/${safe_rest%%/*}
        safe_rest=${safe_rest#*/}
        if [ -L "$safe_path" ]; then
            SAFE_BAD=$PARENT
            return 1
        fi
    done
    SAFE_OK=$PARENT
}

# is_ours NAME: whether NAME is something we would have sent: a file or a link, reached through real folders.
is_ours() {
    safe_parent "$1" || return 1
    [ -L "./$1" ] && return 0
    [ -e "./$1" ] && [ ! -d "./$1" ]
}

# delete_gone NAME…: delete those files below the current folder and the folders that this leaves empty. A name that is
# a folder now is left alone, and so is anything behind a linked folder. Refuses all of it if one name leads out.
# Facts: deleted N; undeleted N if some could not be deleted (fails then).
delete_gone() {
    for gone_name; do
        case /$gone_name/ in
        *//* | */../* | */./*)
            fact refused "$gone_name"
            return 1
            ;;
        esac
    done
    gone_before=0
    for gone_name; do
        is_ours "$gone_name" && gone_before=$((gone_before + 1))
    done
    if [ "$gone_before" -gt 0 ]; then
        # xargs bounds the size of each rm; ./ keeps a leading dash from being an option.
        for gone_name; do
            is_ours "$gone_name" && printf './%s\0' "$gone_name"
        done | xargs -0 rm -f -- 2>/dev/null
    fi
    gone_after=0
    gone_parent=
    for gone_name; do
        is_ours "$gone_name" && gone_after=$((gone_after + 1))
        safe_parent "$gone_name" || continue
        [ "$PARENT" != "$gone_parent" ] || continue
        gone_parent=$PARENT
        remove_empty "$PARENT"
    done
    fact deleted $((gone_before - gone_after))
    [ "$gone_after" -eq 0 ] || {
        fact undeleted "$gone_after"
        return 1
    }
}

# remove_empty FOLDER: remove it and its parents as far as they are empty, never the current folder itself.
remove_empty() {
    empty_dir=$1
    while [ -n "$empty_dir" ]; do
        rmdir "./$empty_dir" 2>/dev/null || [ ! -d "./$empty_dir" ] || return 0
        case $empty_dir in
        */*) empty_dir=${empty_dir%/*} ;;
        *) empty_dir= ;;
        esac
    done
}

# manifest_read: what was last sent to this workspace, as one frame of stream "file"; fact sent_id ID if that sync ended
# well. Nothing if nothing was ever sent.
manifest_read() {
    [ -f "$DG_WS/sent" ] || return 0
    sent_bytes=$(wc -c <"$DG_WS/sent" | tr -cd '0-9')
    printf '%s <file> %s\n' "$MARK" "$sent_bytes"
    cat "$DG_WS/sent"
    if [ -f "$DG_WS/sent.id" ]; then
        read -r sent_id <"$DG_WS/sent.id"
        fact sent_id "$sent_id"
    fi
}

# manifest_write [ID]: keep $DG_MANIFEST as what was sent. With an ID the sync is complete: sent.id is written last, and
# is never there beside another manifest. Without one the sync is under way.
manifest_write() {
    rm -f "$DG_WS/sent.id"
    printf '%s' "$DG_MANIFEST" >"$DG_WS/sent.new" && mv -f "$DG_WS/sent.new" "$DG_WS/sent" || return 1
    [ -n "${1-}" ] || return 0
    printf '%s\n' "$1" >"$DG_WS/sent.id.new" && mv -f "$DG_WS/sent.id.new" "$DG_WS/sent.id"
}

# sent_states: what there is now of what was last sent, in the lines that quickcheck.py describes. What is not there has no
# line. Looks at these names only, for at most $STATES_S seconds: what it does not get to has no line either. Nothing at all
# where a name holds a newline, or where there is no stat.
STATES_S=15
sent_states() {
    if stat -c %f / >/dev/null 2>&1; then # GNU and BusyBox
        set -- stat -c '%f %s %Y %n'
    else
        set -- stat -f '%Xp %z %m %N'
    fi
    ! have timeout || set -- timeout "$STATES_S" xargs -0 "$@"
    [ "$1" = timeout ] || set -- xargs -0 "$@"
    # The size and mtime of a folder say nothing of what was sent; those of a link are not compared either.
    sent_paths | "$@" 2>/dev/null | sed 's/^\(4[^ ]*\) [^ ]* [^ ]* /\1 /; s/^a[^ ]* [^ ]* [^ ]* /a /'
}

# sent_paths: what was last sent, and before each name the folders on the way that were not named yet; each ends in a NUL.
sent_paths() {
    # shellcheck disable=SC2016 # awk's own
    ! grep -q '%0A' "$DG_WS/sent" && awk '{
        gsub(/%25/, "%")
        folder = $0
        sub(/[^\/]*$/, "", folder)
        if (folder != last) {
            last = folder
            count = split(folder, parts, "/")
            way = "."
            for (part = 1; part < count; part++) {
                way = way "/" parts[part]
                if (!(way in told)) {
                    told[way]
                    print way
                }
            }
        }
        print "./" $0
    }' "$DG_WS/sent" | tr '\n' '\0'
}

# link_targets FILE: where the links named in FILE lead, one line each: "> NAME -> TARGET". ls tells of many at once; it
# sorts its arguments by name, and they are.
link_targets() {
    grep -q '^a ' "$1" || return 0
    sed -n 's/^a //p' "$1" | tr '\n' '\0' | QUOTING_STYLE=literal xargs -0 ls -ld 2>/dev/null | sed 's|^[^/]* \./|> |'
}

# digest FILE: sets DIGEST to its SHA-256 in hex, "" where nothing here can tell that.
digest() {
    DIGEST=
    if have sha256sum; then
        DIGEST=$(sha256sum <"$1" 2>/dev/null)
    elif have shasum; then
        DIGEST=$(shasum -a 256 <"$1" 2>/dev/null)
    fi
    DIGEST=${DIGEST%% *}
}

# compare_states DIGEST FILE: whether the current folder holds what a listing says, whose DIGEST that is. FILE is left behind.
compare_states() {
    (
        LC_ALL=C
        export LC_ALL
        sent_states >"$2" && link_targets "$2" >"$2.links" && cat "$2.links" >>"$2"
        rm -f "$2.links"
    )
    digest "$2"
    [ "$DIGEST" = "$1" ]
}
