#compdef inv invoke dgummy
# Completion of inv, invoke and dgummy in zsh: commands, flags, hosts, runs.
#
# To have it in every shell, one of these:
#   echo 'eval "$(dgummy completion zsh)"' >>~/.zshrc
#   dgummy completion zsh >~/.zfunc/_dgummy     # any folder of your fpath, before compinit
#
# Every TAB runs `inv --complete`, which loads the tasks.py of the folder you are in, as `inv --list` does.

_dgummy() {
    local program=${(Q)words[1]} line marked=
    local -a options typed values shown
    integer at=2
    [[ $program == '~/'* ]] && program=$HOME/${program#\~/}
    typed=("${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}")
    # Which tasks are meant may be said before the first of them.
    while (( at < CURRENT )); do
        case $typed[at] in
            (-c|--collection|-r|--search-root) options+=("$typed[at]" "$typed[at+1]"); (( at += 1 )) ;;
            (-*) ;;
            (*) break ;;
        esac
        (( at += 1 ))
    done
    while IFS= read -r line; do
        if [[ $line == '#dgummy-completion 1' ]]; then
            marked=yes values=() shown=()
        elif [[ -n $line ]]; then
            values+=("${line%%$'\t'*}")
            shown+=("${line/$'\t'/  -- }")
        fi
    done < <(DGUMMY_COMPLETE=zsh command "$program" $options --complete -- "$typed[@]" 2>/dev/null </dev/null)
    # In the order in which they come: the newest run first. Where nothing is known, files are completed.
    if (( $#values )) && compadd -l -V dgummy -d shown -a values; then
        return 0
    fi
    (( $#values )) || _files
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _dgummy "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef _dgummy inv invoke dgummy
fi
