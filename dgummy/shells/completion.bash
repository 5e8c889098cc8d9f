# shellcheck shell=bash
# Completion of inv, invoke and dgummy in bash (3.2 and newer): commands, flags, hosts, runs.
#
# To have it in every shell, one of these:
#   echo 'eval "$(dgummy completion bash)"' >>~/.bashrc
#   dgummy completion bash >~/.local/share/bash-completion/completions/dgummy
# (the second needs the package bash-completion; link the file there as inv and as invoke too.)
#
# Every TAB runs `inv --complete`, which loads the tasks.py of the folder you are in, as `inv --list` does.

_dgummy_complete() {
    local program=$1 word line marked='' IFS=$' \t\n'
    local -a options=()
    case $program in \~/*) program=$HOME/${program#\~/} ;; esac
    # Which tasks are meant may be said before the first of them.
    local -i at=1
    while ((at < COMP_CWORD)); do
        word=${COMP_WORDS[at]}
        case $word in
        -c | --collection | -r | --search-root) options+=("$word" "${COMP_WORDS[at + 1]}") at+=1 ;;
        -*) ;;
        *) break ;;
        esac
        at+=1
    done
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ $line == '#dgummy-completion 1' ]]; then
            marked=yes COMPREPLY=()
        elif [[ -n $marked ]]; then
            COMPREPLY+=("$line")
        elif [[ $line == "$2"* ]]; then # Invoke by itself: all that there is, as it is
            printf -v line %q "$line"
            COMPREPLY+=("$line")
        fi
    done < <(
        DGUMMY_COMPLETE=bash COMP_LINE=$COMP_LINE COMP_POINT=$COMP_POINT COMP_WORDBREAKS=$COMP_WORDBREAKS \
            command "$program" ${options[@]+"${options[@]}"} --complete -- "${COMP_WORDS[@]}" 2>/dev/null </dev/null
    )
}

# Where nothing is known, files are completed. Old versions sort what is newest first.
complete -o nosort -o bashdefault -o default -F _dgummy_complete inv invoke dgummy 2>/dev/null ||
    complete -o bashdefault -o default -F _dgummy_complete inv invoke dgummy
