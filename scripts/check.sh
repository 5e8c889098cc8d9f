#!/bin/sh
# check.sh lint|test [PYTEST-ARGUMENT…]: every check of this project, one after the other, then a summary.
# One that fails does not keep the next from running. Exit code 0 if all are fine, else 1. POSIX sh.
# shellcheck disable=SC2317 # the checks are called through `step`
set -u
unset CDPATH
cd -- "$(dirname -- "$0")/.." || exit 1

purpose=${1:?usage: check.sh lint|test}
shift
python=.venv/bin/python
results=build/tests.xml
crowd_results=build/crowd-tests.xml
summary=
failed=0

# step NAME COMMAND…
step() {
    name=$1
    shift
    printf '\n── %s\n' "$name"
    since=$(date +%s)
    if "$@"; then mark='ok    '; else
        mark=FAILED
        failed=1
    fi
    summary="$summary$(printf '%s  %-12s %4d s  %s' "$mark" "$name" "$(($(date +%s) - since))" "${note-}")
"
    note=
}

# Every file that sh runs: by its name, or by its first line if it is executable.
shell_files() {
    find dgummy tests scripts benchmarks .ci -type f \( -name '*.sh' -o -name '*.bash' -o -perm -100 \) 2>/dev/null | sort |
        while IFS= read -r file; do
            first=
            case $file in
            *.sh | *.bash) ;;
            *) IFS= read -r first <"$file" || true ;;
            esac
            case $file:$first in
            *.sh: | *.bash: | *:'#!'*/sh | *:'#!'*/bash | *:'#!'*' sh') printf '%s\n' "$file" ;;
            esac
        done
}

check_shell() {
    if ! command -v shellcheck >/dev/null; then
        note='skipped: no shellcheck on this machine'
        [ -z "${CI-}" ]
        return
    fi
    files=$(shell_files)
    [ -n "$files" ] || return 1
    note="$(printf '%s\n' "$files" | wc -l | tr -d ' ') files"
    old_ifs=$IFS
    IFS='
'
    # shellcheck disable=SC2086 # one file per line
    shellcheck $files
    code=$?
    IFS=$old_ifs
    return "$code"
}

# pytest's own exit code is 0 if every test was skipped; here at least one must have run. Tests that take the whole machine
# (marked crowd) come after the others, alone: beside them, nothing that is about time would hold.
check_tests() {
    rm -f "$results" "$crowd_results"
    code=0
    # Every command that a test starts would compile what it imports; some environments keep Python from writing that down.
    "$python" -m compileall -q dgummy tests
    # More workers than cores: most tests wait for hosts.
    run_tests -n "${DGUMMY_TESTS_WORKERS:-6}" --dist worksteal -m 'not crowd' --junitxml="$results" "$@" || code=1
    run_tests -m crowd --junitxml="$crowd_results" "$@" || code=1
    note=$("$python" - "$results" "$crowd_results" <<'END'
import sys
import xml.etree.ElementTree as ElementTree

total = skipped = bad = 0
for path in sys.argv[1:]:
    try:
        suite = next(ElementTree.parse(path).iter("testsuite"))
    except (OSError, ElementTree.ParseError, StopIteration):
        sys.exit("no results")
    total += int(suite.get("tests", "0"))
    skipped += int(suite.get("skipped", "0"))
    bad += int(suite.get("failures", "0")) + int(suite.get("errors", "0"))
print(f"{total - skipped - bad} passed, {bad} failed, {skipped} skipped")
sys.exit(total - skipped <= 0)
END
    ) || {
        note="no test ran. $note"
        return 1
    }
    return "$code"
}

# run_tests ARGUMENT…: pytest; that nothing fits (5) is no failure of its own.
run_tests() {
    "$python" -m pytest "$@"
    tests_code=$?
    [ "$tests_code" -ne 5 ] || tests_code=0
    return "$tests_code"
}

step 'ruff check' "$python" -m ruff check .
step 'ruff format' "$python" -m ruff format --check .
step mypy "$python" -m mypy
step shellcheck check_shell
[ "$purpose" = lint ] || step pytest check_tests "$@"

printf '\n── summary\n%s' "$summary"
exit "$failed"
