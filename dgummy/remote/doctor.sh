# shellcheck shell=sh
# shellcheck disable=SC2154 # LOGIN_PATH, FOUND and the like are set by lib.sh
# What may keep this host from taking work, in one round trip. Raw facts only: dgummy/vitals.py reads them. Nothing is
# changed but files of ours, no credential is printed, nothing goes over the network.
#
# Variables from the caller: DG_PATH_DIRS (folders before the login PATH, with colons), DG_LOGIN_VARIABLES (the names of those
# by which the agent's program logs in).

# doctor AGENT_CLI EXPIRE_DAYS OLD_DAYS PROGRAM…: everything. AGENT_CLI is the program that has to be logged in ("" for none).
doctor() {
    fact clock "$(date +%s)" # first: whoever reads it notes when it came
    doctor_cli=$1 doctor_expire=$2 doctor_old=$3
    shift 3
    fact uname "$(uname -s -m)"
    fact shell "${SHELL-}"
    fact path "$PATH"
    doctor_state
    doctor_login &
    doctor_login_pid=$!
    LC_ALL=C
    export LC_ALL
    doctor_disk=$(df -Pk "$HOME" 2>/dev/null)
    fact df "${doctor_disk##*"$NL"}"
    doctor_installer
    doctor_leftovers
    wait "$doctor_login_pid"
    doctor_read_login
    doctor_programs "$@"
    [ -z "$doctor_cli" ] || doctor_agent_login
    [ "$doctor_file" = /dev/null ] || rm -f "$doctor_file" "$doctor_file.version" "$doctor_file.status"
    fact doctor-end ok
}

# doctor_state: whether the folder for what this host remembers can be used, "ok MODE" or "failed WHY". Sets doctor_file.
doctor_state() {
    doctor_file=$DG_STATE/doctor.$$
    if ! doctor_said=$( (umask 077 && mkdir -p "$DG_STATE") 2>&1); then
        fact state "failed ${doctor_said:-it cannot be made}"
    elif ! doctor_said=$( (umask 077 && head -c 8192 /dev/zero >"$doctor_file") 2>&1); then
        fact state "failed ${doctor_said:-it cannot be written to}"
    else
        # shellcheck disable=SC2012 # ls tells a mode everywhere
        doctor_said=$(ls -ldn "$DG_STATE/.")
        fact state "ok ${doctor_said%% *}"
        return
    fi
    doctor_file=${TMPDIR:-/tmp}/dgummy-doctor.$$
    (umask 077 && set -C && true >"$doctor_file") 2>/dev/null || doctor_file=/dev/null
}

# doctor_login: asks the login shell for its PATH, into doctor_file: yes or no, seconds, PATH.
doctor_login() {
    doctor_from=$(date +%s)
    login_path
    doctor_to=$(date +%s)
    printf '%s\n' "${LOGIN_TOLD:-no}" "$((doctor_to - doctor_from))" "$LOGIN_PATH" >"$doctor_file"
} </dev/null >/dev/null 2>&1

# doctor_read_login: tells what came of it. Sets LOGIN_PATH.
doctor_read_login() {
    doctor_told=no doctor_took=0 LOGIN_PATH=
    { read -r doctor_told && read -r doctor_took && read -r LOGIN_PATH; } 2>/dev/null <"$doctor_file"
    fact login "$doctor_told $doctor_took"
    LOGIN_PATH=${LOGIN_PATH:-$PATH}
    fact login-path "$LOGIN_PATH"
}

# doctor_installer: how software is installed here.
doctor_installer() {
    for doctor_name in brew apt-get dnf yum apk pacman zypper pkg; do
        if on_path "$doctor_name"; then
            fact installer "$doctor_name"
            return
        fi
    done
}

# doctor_programs PROGRAM…: where each is: "at plain NAME FILE" on the PATH that we were started with, "at login NAME FILE"
# on that of runs, "at elsewhere NAME FILE" in a usual place that is on neither. Versions of those that start quickly.
doctor_programs() {
    doctor_plain=$PATH doctor_runs=${DG_PATH_DIRS:+$DG_PATH_DIRS:}$LOGIN_PATH
    for doctor_name; do
        PATH=$doctor_plain
        doctor_known=
        if on_path "$doctor_name"; then
            fact at "plain $doctor_name $FOUND"
            doctor_known=yes
        fi
        PATH=$doctor_runs
        if on_path "$doctor_name"; then
            fact at "login $doctor_name $FOUND"
            doctor_known=yes
        fi
        PATH=$doctor_plain
        [ -n "$doctor_known" ] || doctor_elsewhere "$doctor_name"
    done
    for doctor_name in rsync "$doctor_cli"; do
        [ -z "$doctor_name" ] || doctor_version "$doctor_name"
    done
}

# doctor_elsewhere PROGRAM: looks where installers put things.
doctor_elsewhere() {
    for doctor_dir in "$HOME/bin" "$HOME/.local/bin" "$HOME/.claude/local" "$HOME/.npm-global/bin" "$HOME/.bun/bin" \
        "$HOME/.volta/bin" "$HOME/.cargo/bin" "$HOME/.linuxbrew/bin" /opt/homebrew/bin /usr/local/bin /opt/local/bin \
        /home/linuxbrew/.linuxbrew/bin /snap/bin "$HOME"/.nvm/versions/node/*/bin; do
        if [ -f "$doctor_dir/$1" ] && [ -x "$doctor_dir/$1" ]; then
            fact at "elsewhere $1 $doctor_dir/$1"
            return
        fi
    done
}

# doctor_version PROGRAM: "version NAME STATUS TEXT" of one on the PATH of runs; the first line, three seconds at most. Of what
# it prints the beginning is kept; the rest is read, else it would end for that.
doctor_version() {
    PATH=$doctor_runs
    on_path "$1"
    PATH=$doctor_plain
    [ -n "$FOUND" ] && [ "$doctor_file" != /dev/null ] || return 0
    rm -f "$doctor_file.status"
    # shellcheck disable=SC2016 # expanded by the inner shell
    limited 3 /bin/sh -c '{
        PATH=$2 "$0" --version
        echo "$?" >"$1.status"
    } </dev/null 2>/dev/null | {
        dd bs=4096 count=1 >"$1.version"
        cat <&3 >/dev/null &
    } 3<&0' "$FOUND" "$doctor_file" "$doctor_runs" >/dev/null 2>&1
    doctor_status=$? doctor_line=
    {
        read -r doctor_status <"$doctor_file.status"
        read -r doctor_line <"$doctor_file.version"
    } 2>/dev/null
    fact version "$1 $doctor_status $doctor_line"
}

# doctor_agent_login: how the agent's CLI would log in from a shell like ours: "HOW DETAIL"; "none" where nothing is found.
# Names only: what they stand for stays where it is.
doctor_agent_login() {
    for doctor_name in $DG_LOGIN_VARIABLES; do
        eval "doctor_value=\${$doctor_name-}"
        if [ -n "$doctor_value" ]; then
            doctor_value=
            fact agent-login "variable $doctor_name"
            return
        fi
    done
    doctor_dir=${CLAUDE_CONFIG_DIR:-$HOME/.claude}
    if [ -e "$doctor_dir/.credentials.json" ] && [ ! -r "$doctor_dir/.credentials.json" ]; then
        fact agent-login "unreadable $doctor_dir/.credentials.json"
    elif doctor_holds "$doctor_dir/.credentials.json" accessToken refreshToken; then
        fact agent-login "file $doctor_dir/.credentials.json"
    elif doctor_holds "$doctor_dir/settings.json" apiKeyHelper ANTHROPIC_ CLAUDE_CODE_ ||
        doctor_holds /etc/claude-code/managed-settings.json apiKeyHelper ANTHROPIC_ CLAUDE_CODE_; then
        fact agent-login "settings $doctor_dir/settings.json"
    elif doctor_holds "${CLAUDE_CONFIG_DIR:-$HOME}/.claude.json" primaryApiKey; then
        fact agent-login "file ${CLAUDE_CONFIG_DIR:-$HOME}/.claude.json"
    else
        doctor_keychain || doctor_login_variables || fact agent-login none
    fi
}

# doctor_holds FILE WORD…: whether a JSON file has a key that begins with one of these words.
doctor_holds() {
    doctor_in=$1
    shift
    [ -s "$doctor_in" ] || return 1
    for doctor_word; do
        ! grep -q "\"$doctor_word" "$doctor_in" 2>/dev/null || return 0
    done
    return 1
}

# doctor_keychain: on macOS logins are in the keychain, which a session over ssh finds locked.
doctor_keychain() {
    have security || return 1
    limited 3 security find-generic-password -s 'Claude Code-credentials' </dev/null >/dev/null 2>&1 || return 1
    if limited 3 security show-keychain-info </dev/null >/dev/null 2>&1; then
        fact agent-login 'keychain open'
    else
        fact agent-login 'keychain locked'
    fi
}

# doctor_login_variables: whether the login shell sets what our shell does not have.
doctor_login_variables() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    doctor_ask='/bin/sh -c '\''for n in $0; do eval "v=\${$n-}"; [ -z "$v" ] || echo "$n"; done >"$DG_TELL"'\'
    true >"$doctor_file"
    (
        DG_TELL=$doctor_file
        export DG_TELL
        limited 5 "${SHELL:-/bin/sh}" -l -c "$doctor_ask \"$DG_LOGIN_VARIABLES\""
    ) </dev/null >/dev/null 2>&1
    doctor_found=
    while read -r doctor_word; do
        doctor_found=$doctor_word
    done 2>/dev/null <"$doctor_file"
    [ -n "$doctor_found" ] && fact agent-login "login-variable $doctor_found"
}

# doctor_leftovers: what earlier runs left: "uncollected RUN SECONDS" (work that is on this host alone), "old-runs COUNT"
# (folders of runs untouched for OLD_DAYS), "stale-lock RUN", "old-copies COUNT" (of --isolate), "temporary COUNT".
doctor_leftovers() {
    doctor_now=$(date +%s)
    boot_id
    doctor_count=0 doctor_copies=0
    for doctor_at in "$DG_STATE"/workspaces/*; do
        if [ -d "$doctor_at" ] && [ "$doctor_count" -lt 500 ]; then
            doctor_count=$((doctor_count + 1))
            doctor_workspace
        fi
    done
    fact old-copies "$doctor_copies"
    fact old-runs "$(doctor_older runs "$doctor_old" -type d)"
    fact temporary "$(doctor_temporary | wc -l | tr -cd 0-9)"
}

# doctor_workspace: of the one in doctor_at.
doctor_workspace() {
    doctor_run=
    { read -r doctor_run _ <"$doctor_at/uncollected"; } 2>/dev/null
    case $doctor_run in
    '' | *[!a-z0-9-]*) ;;
    *)
        ENDED=
        run_state "$DG_STATE/runs/$doctor_run" 2>/dev/null
        case $ENDED in
        '' | *[!0-9]*) ENDED=$doctor_now ;;
        esac
        fact uncollected "$doctor_run $((doctor_now - ENDED))"
        ;;
    esac
    doctor_run=
    { read -r doctor_run _ <"$doctor_at/lock/run"; } 2>/dev/null
    case $doctor_run in
    '' | *[!a-z0-9-]*) ;;
    *)
        run_state "$DG_STATE/runs/$doctor_run" 2>/dev/null
        # One that has just ended gives its lock back by itself.
        case $STATE in
        ended | void | lost)
            [ -z "$(find "$doctor_at/lock" -prune -mmin +10 2>/dev/null)" ] || fact stale-lock "$doctor_run"
            ;;
        esac
        ;;
    esac
    if [ -f "$doctor_at/isolated" ] && [ -n "$(find "$doctor_at" -prune -mtime "+$doctor_expire" 2>/dev/null)" ]; then
        doctor_copies=$((doctor_copies + 1))
    fi
}

# doctor_older FOLDER DAYS TEST…: how many entries of a folder of ours were not touched for so long.
doctor_older() {
    (
        cd "$DG_STATE/$1" 2>/dev/null || exit 0
        doctor_days=$2
        shift 2
        find . ! -name . -prune "$@" -mtime "+$doctor_days" 2>/dev/null
    ) | wc -l | tr -cd 0-9
}

# doctor_temporary: files of ours that were for a moment, and are there a day later.
doctor_temporary() {
    (
        cd "$DG_STATE" 2>/dev/null || exit 0
        find . ! -name . -prune -type f \( -name 'probe.[0-9]*' -o -name 'login-path.[0-9]*' -o -name 'size.[0-9]*' \
            -o -name 'doctor.[0-9]*' -o -name 'cnewer.[0-9]*' \) -mtime +0 2>/dev/null
    )
}

# doctor_repair WHAT…: tidy (temporary files), private (nobody else may write to our folder). Facts "repaired WHAT", or
# "failed WHAT".
doctor_repair() {
    for doctor_what; do
        if "doctor_$doctor_what" 2>/dev/null; then
            fact repaired "$doctor_what"
        else
            fact failed "$doctor_what"
        fi
    done
}

doctor_tidy() {
    doctor_temporary | while read -r doctor_name; do
        rm -f "$DG_STATE/$doctor_name"
    done
    [ -z "$(doctor_temporary)" ]
}

doctor_private() {
    [ -d "$DG_STATE" ] && [ ! -L "$DG_STATE" ] && chmod go-w "$DG_STATE"
}
