# shellcheck shell=sh
# The specialists of a host: what gummy keeps in ~/.gummy/specialists and in PROJECT/.gummy/specialists.

# list_specialists LIMIT PROJECT…: facts: specialist (scope and folder), then a meta for each line of its meta.yaml. Links are
# not followed out of the folders; at most LIMIT specialists, 20 lines of 500 bytes each.
list_specialists() {
    specialists_left=$1
    shift
    specialists_in global "$HOME"
    for specialist_project; do
        resolve_dir "$specialist_project"
        [ "$DIR" = "$HOME" ] || specialists_in project "$DIR"
    done
}

# specialists_in SCOPE FOLDER
specialists_in() {
    [ ! -L "$2/.gummy" ] && [ ! -L "$2/.gummy/specialists" ] || return 0
    for specialist_dir in "$2"/.gummy/specialists/*/; do
        specialist_dir=${specialist_dir%/}
        if [ -L "$specialist_dir" ] || [ ! -f "$specialist_dir/meta.yaml" ] || [ -L "$specialist_dir/meta.yaml" ]; then
            continue
        fi
        [ "$specialists_left" -gt 0 ] || return 0
        specialists_left=$((specialists_left - 1))
        fact specialist "$1 $specialist_dir"
        head -n 20 "$specialist_dir/meta.yaml" | cut -c 1-500 | while IFS= read -r specialist_line; do
            fact meta "$specialist_line"
        done
    done
}
