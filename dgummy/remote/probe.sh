# shellcheck shell=sh
# What a host is, how busy it is, and what runs on it, in one round trip. Raw facts only: dgummy/probe.py reads them.
# Values come through the builtin `read` where they can: ten hosts on one small machine may be probed at the same moment.
#
# Variables from the caller: DG_PATH_DIRS (folders before the login PATH, with colons), DG_ROOT (see lib.sh).

# probe INTERVAL_S TOOL…: everything. INTERVAL_S is how long the CPU is watched; TOOLs are looked for on the login PATH.
probe() {
    probe_interval=$1
    shift
    [ -d "$DG_STATE" ] || (umask 077 && mkdir -p "$DG_STATE") 2>/dev/null
    probe_file=$DG_STATE/probe.$$
    {
        login_path
        printf '%s\n' "$LOGIN_PATH" >"$probe_file"
    } </dev/null >/dev/null 2>&1 &
    probe_login=$!
    # Not before the login shell was started: its profile may look at the locale. Decimal commas would be misread.
    LC_ALL=C
    export LC_ALL
    probe_disk=$(df -Pk "$HOME" 2>/dev/null)
    fact df "${probe_disk##*"$NL"}"
    probe_machine
    # A heavy profile takes a core for a second. It must not be measured as this machine's load, so it ends first;
    # figures from a look-alike folder cannot be disturbed.
    [ -n "$DG_ROOT" ] || wait "$probe_login"
    probe_load
    wait "$probe_login"
    probe_line "$probe_file" || LINE=$PATH
    rm -f "$probe_file"
    probe_tools "${DG_PATH_DIRS:+$DG_PATH_DIRS:}$LINE" "$@"
    fact date "$(date +%s)"
    fact probe-end ok
}

# probe_machine: what it is, and what runs on it.
probe_machine() {
    probe_os=$(uname -s -m)
    fact uname "$probe_os"
    fact home "$HOME"
    fact shell "${SHELL-}"
    boot_id
    fact boot "$BOOT"
    probe_runs
    probe_locks
}

# probe_load: how busy it is, by two looks at its counters, probe_interval seconds apart.
probe_load() {
    if [ -r "$DG_ROOT/proc/stat" ]; then
        probe_linux
    else
        case $probe_os in
        Darwin*) probe_darwin ;;
        *BSD* | DragonFly*) probe_bsd ;;
        esac
    fi
}

# probe_line FILE: sets LINE to its first line. Fails if there is none.
probe_line() {
    LINE=
    { read -r LINE <"$1"; } 2>/dev/null
    [ -n "$LINE" ]
}

# probe_file_fact NAME FILE: the first line of a file as a fact, if there is one.
probe_file_fact() {
    ! probe_line "$2" || fact "$1" "$LINE"
}

# probe_lines NAME TEXT: each line of TEXT as a fact.
probe_lines() {
    probe_name=$1 probe_ifs=$IFS IFS=$NL
    set -f
    # shellcheck disable=SC2086 # split into lines on purpose
    set -- $2
    set +f
    IFS=$probe_ifs
    for probe_text; do
        fact "$probe_name" "$probe_text"
    done
}

probe_sleep() {
    sleep "$probe_interval" 2>/dev/null || sleep 1 # not every sleep takes fractions
}

probe_linux() {
    if [ -z "$DG_ROOT" ] && have nproc; then
        fact nproc "$(OMP_NUM_THREADS='' OMP_THREAD_LIMIT='' nproc 2>/dev/null)"
    fi
    fact cpus "$(grep -c '^cpu[0-9]' "$DG_ROOT/proc/stat" 2>/dev/null)"
    probe_meminfo 2>/dev/null <"$DG_ROOT/proc/meminfo"
    probe_file_fact loadavg "$DG_ROOT/proc/loadavg"
    for probe_name in cpu io memory; do
        probe_file_fact "psi-$probe_name" "$DG_ROOT/proc/pressure/$probe_name"
    done
    probe_cgroups
    probe_file_fact stat "$DG_ROOT/proc/stat"
    probe_sleep
    probe_file_fact stat "$DG_ROOT/proc/stat"
}

# probe_meminfo <MEMINFO: the lines that matter. They are the first ones.
probe_meminfo() {
    probe_count=0
    while [ "$probe_count" -lt 100 ] && read -r probe_key probe_value; do
        probe_count=$((probe_count + 1))
        case $probe_key in
        MemTotal: | MemFree: | MemAvailable: | Buffers: | Cached:) fact meminfo "$probe_key $probe_value" ;;
        SwapCached:) break ;;
        esac
    done
}

# Limits hold for everything below them: look at our own cgroup and at each one above it. In a container the path may be
# the one outside; what is mounted at the root is then our own.
probe_cgroups() {
    probe_base=$DG_ROOT/sys/fs/cgroup
    [ -d "$probe_base" ] || return 0
    probe_v2='' probe_v1_cpu='' probe_v1_memory='' probe_cpu_dir=cpu
    probe_own_cgroups 2>/dev/null <"$DG_ROOT/proc/self/cgroup"
    probe_above "$probe_base" "$probe_v2" probe_cgroup_v2
    [ -d "$probe_base/$probe_cpu_dir" ] || probe_cpu_dir=cpu
    probe_above "$probe_base/$probe_cpu_dir" "$probe_v1_cpu" probe_cgroup_v1_cpu
    probe_above "$probe_base/memory" "$probe_v1_memory" probe_cgroup_v1_memory
}

# probe_own_cgroups </proc/self/cgroup: lines of ID:CONTROLLERS:PATH, no controllers meaning version 2.
probe_own_cgroups() {
    while IFS=: read -r _ probe_key probe_value; do
        case ,$probe_key, in
        ,,) probe_v2=$probe_value ;;
        *,memory,*) probe_v1_memory=$probe_value ;;
        *,cpu,*) probe_v1_cpu=$probe_value probe_cpu_dir=$probe_key ;;
        esac
    done
}

# probe_above BASE PATH FUNCTION: FUNCTION for BASE/PATH and each folder above it down to BASE, twenty at most.
probe_above() {
    [ -d "$1" ] || return 0
    probe_at=${2%/} probe_count=0
    case $probe_at in
    */..*) probe_at= ;; # outside of our namespace
    esac
    while [ "$probe_count" -lt 20 ]; do
        probe_count=$((probe_count + 1))
        "$3" "$1$probe_at"
        [ -n "$probe_at" ] || return 0
        probe_at=${probe_at%/*}
    done
}

probe_cgroup_v2() {
    probe_file_fact cgroup-cpu "$1/cpu.max"
    if probe_line "$1/memory.max" && [ "$LINE" != max ]; then
        probe_cgroup_memory "$LINE" "$1/memory.current" "$1/memory.stat" inactive_file
    fi
}

probe_cgroup_v1_cpu() {
    probe_line "$1/cpu.cfs_quota_us" || return 0
    probe_value=$LINE
    probe_line "$1/cpu.cfs_period_us" || return 0
    fact cgroup-cpu "$probe_value $LINE"
}

probe_cgroup_v1_memory() {
    probe_line "$1/memory.limit_in_bytes" || return 0
    case $LINE in
    92233720368547*) ;; # the largest number of pages: no limit
    *) probe_cgroup_memory "$LINE" "$1/memory.usage_in_bytes" "$1/memory.stat" total_inactive_file ;;
    esac
}

# probe_cgroup_memory LIMIT CURRENT_FILE STAT_FILE KEY: "LIMIT CURRENT CACHE"; CACHE is what the kernel would drop first.
probe_cgroup_memory() {
    probe_limit=$1 probe_cache=-
    while read -r probe_key probe_value; do
        if [ "$probe_key" = "$4" ]; then
            probe_cache=$probe_value
            break
        fi
    done 2>/dev/null <"$3"
    probe_line "$2" || LINE=-
    fact cgroup-memory "$probe_limit $LINE $probe_cache"
}

# iostat prints the average since boot first and that of one second after it; it is the cheapest of what macOS has.
probe_darwin() {
    probe_lines sysctl "$(PATH=$PATH:/usr/sbin:/sbin sysctl hw.ncpu hw.memsize vm.loadavg 2>/dev/null)"
    probe_lines vm_stat "$(vm_stat 2>/dev/null)"
    probe_lines iostat "$(PATH=$PATH:/usr/sbin:/sbin iostat -n 0 -w 1 -c 2 2>/dev/null)"
}

# What one of the BSDs does not know, it complains about and goes on.
probe_bsd() {
    probe_lines sysctl "$(PATH=$PATH:/usr/sbin:/sbin sysctl hw.ncpu hw.ncpuonline hw.pagesize hw.physmem hw.physmem64 \
        vm.loadavg vm.stats.vm.v_free_count vm.stats.vm.v_inactive_count vm.stats.vm.v_cache_count \
        kstat.zfs.misc.arcstats.size kstat.zfs.misc.arcstats.c_min kern.cp_time 2>/dev/null)"
    case $probe_os in
    OpenBSD* | NetBSD*) probe_lines vmstat "$(vmstat -s 2>/dev/null)" ;;
    esac
    probe_sleep
    probe_lines sysctl "$(PATH=$PATH:/usr/sbin:/sbin sysctl kern.cp_time 2>/dev/null)"
}

# probe_tools PATH TOOL…: those that are there. Not `command -v`: it would find functions and builtins of ours too.
probe_tools() {
    probe_path=$1 probe_ifs=$IFS IFS=:
    shift
    set -f
    for probe_tool; do
        for probe_dir in $probe_path; do
            case $probe_dir in
            /*)
                if [ -f "$probe_dir/$probe_tool" ] && [ -x "$probe_dir/$probe_tool" ]; then
                    fact tool "$probe_tool"
                    break
                fi
                ;;
            esac
        done
    done
    set +f
    IFS=$probe_ifs
}

# A run is told as "run ID STATE CLAIMED" and, for what may hold blanks, run-owner and run-workspace after it. Markers
# of runs that are over are removed, so that the next probe need not look at them.
probe_runs() {
    set --
    probe_count=0
    for probe_at in "$DG_STATE"/active/*; do
        probe_id=${probe_at##*/}
        case $probe_id in
        *[!A-Za-z0-9._-]*) continue ;;
        esac
        [ "$probe_count" -lt 200 ] || break
        probe_count=$((probe_count + 1))
        probe_state "$probe_id" 2>/dev/null
        case $STATE in
        ended | void | lost) set -- "$@" "$probe_at" ;;
        esac
        fact run "$probe_id $STATE $CLAIMED"
        [ -z "$OWNER" ] || fact run-owner "$OWNER"
        [ -z "$WORKSPACE" ] || fact run-workspace "$WORKSPACE"
    done
    [ $# -eq 0 ] || rm -f "$@" 2>/dev/null
}

# probe_state ID: run_state, but a boot id that is not known, now or then, is no proof of a restart.
probe_state() {
    run_state "$DG_STATE/runs/$1"
    if [ "$STATE" = lost ] && [ "$CLAIM_BOOT" != "$BOOT" ]; then
        case " $CLAIM_BOOT $BOOT " in
        *' unknown '*)
            probe_boot=$BOOT BOOT=$CLAIM_BOOT
            run_state "$DG_STATE/runs/$1"
            BOOT=$probe_boot
            ;;
        esac
    fi
}

# A lock is told as "lock RUN STATE SINCE", STATE being that of the run, with lock-owner and lock-path after it.
probe_locks() {
    probe_count=0
    for probe_at in "$DG_STATE"/workspaces/*/lock; do
        [ -d "$probe_at" ] || continue
        [ "$probe_count" -lt 200 ] || break
        probe_count=$((probe_count + 1))
        probe_line "$probe_at/run"
        probe_id=$LINE
        case $probe_id in
        '' | .* | *[!A-Za-z0-9._-]*) continue ;; # being made, or not ours
        esac
        probe_line "$probe_at/since"
        probe_since=$LINE
        probe_state "$probe_id" 2>/dev/null
        fact lock "$probe_id $STATE $probe_since"
        probe_file_fact lock-owner "$probe_at/owner"
        probe_file_fact lock-path "${probe_at%/lock}/path"
    done
}
