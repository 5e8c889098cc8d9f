# Completion of inv, invoke and dgummy in fish (3.1 and newer): commands, flags, hosts, runs.
#
# To have it in every shell, one of these:
#   echo 'dgummy completion fish | source' >>~/.config/fish/config.fish
#   dgummy completion fish >~/.config/fish/conf.d/dgummy.fish
#
# Every TAB runs `inv --complete`, which loads the tasks.py of the folder you are in, as `inv --list` does.

function __dgummy_complete
    set -l typed (commandline -opc)
    set -l current (commandline -ct)
    set -l program (string replace -r '^~/' "$HOME/" -- $typed[1])
    set -l options
    # Which tasks are meant may be said before the first of them.
    set -l at 2
    while test $at -le (count $typed)
        switch $typed[$at]
            case -c --collection -r --search-root
                set -l value (math $at + 1)
                test $value -le (count $typed); and set -a options $typed[$at] $typed[$value]
                set at $value
            case '-*'
            case '*'
                break
        end
        set at (math $at + 1)
    end
    set -l found
    set -lx DGUMMY_COMPLETE fish
    for line in (command $program $options --complete -- $typed "$current" 2>/dev/null </dev/null)
        if test "$line" = '#dgummy-completion 1'
            set found
        else if test -n "$line"
            set -a found "$line"
        end
    end
    # Where nothing is known, files are completed.
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path "$current"
    end
end

for program in inv invoke dgummy
    complete --command $program --no-files --keep-order --arguments '(__dgummy_complete)'
end
