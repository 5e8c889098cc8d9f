# shellcheck shell=sh
# The JUnit XML that a run left in its project: what many test runners write beside their output.

# junit_reports RUN DIR LIMIT MAX_KIB: send the reports in DIR, changed since RUN was claimed: fact report (its name), then
# its bytes. At most LIMIT of them, each of at most MAX_KIB.
junit_reports() {
    run=$DG_STATE/runs/$1
    resolve_dir "$2"
    cd "$DIR" 2>/dev/null || return 0
    find . \( -name .git -o -name node_modules \) -prune -o -type f \
        \( -name '*junit*.xml' -o -name 'TEST-*.xml' -o -name 'test-results*.xml' -o -name 'test-report*.xml' \) \
        -newer "$run/claim" -size "-$(($4 * 2))" -print 2>/dev/null | head -n "$3" | while IFS= read -r junit_file; do
        junit_bytes=$(wc -c <"$junit_file" | tr -d ' ') || continue
        [ "$junit_bytes" -gt 0 ] || continue
        fact report "$junit_file"
        printf '%s <junit> %s\n' "$MARK" "$junit_bytes"
        head -c "$junit_bytes" "$junit_file"
    done
}
