#!/usr/bin/env bats
# What HAKMEM does at a fork, and in the processes that a fork makes: other libraries' handlers,
# libc's locks, signal handlers, children without handlers, the memory of threads that are gone, and
# every other way to start a process.

load ../on_hakmem

setup() { bats_require_minimum_version 1.5.0; }

setup_file() {
    "$HAK_ROOT/build.sh" audit lib
    PROGRAMS=$BATS_FILE_TMPDIR
    local tests=$HAK_ROOT/verify/tests
    local flags=(-std=c11 -D_GNU_SOURCE "-I$tests" -O1 -g -fno-builtin -Wall -Wextra -Werror -pthread)
    "${CC:-gcc}" "${flags[@]}" -shared -fPIC "$tests/forks/programs/locked.c" -o "$PROGRAMS/liblocked.so"
    "${CC:-gcc}" "${flags[@]}" "$tests/forks/programs/uses_locked.c" -o "$PROGRAMS/uses_locked" -ldl
    "${CC:-gcc}" "${flags[@]}" "$tests/forks/programs/uses_locked.c" -Wl,--no-as-needed "-L$PROGRAMS" -llocked \
        "-Wl,-rpath,$PROGRAMS" -o "$PROGRAMS/needs_locked" -ldl
    export PROGRAMS
}

# preloaded LIBRARIES PROGRAM ARGS...: the program ends well with these libraries preloaded
preloaded() {
    local libraries=$1
    shift
    run timeout -k 5 "$HAK_TEST_SECONDS" env LD_PRELOAD="$libraries" "$@"
    said_ok
}

# sizes_of SIZE...: all sizes, or only the last one in a short run
sizes_of() {
    if [ "${HAK_TEST_QUICK:-0}" = 1 ]; then echo "${@: -1}"; else echo "$@"; fi
}

# on_audit NAME ARGS...: a short run of a test program on the audit build, which proves the heap's
# equations after each batch
on_audit() {
    HAK_TEST_QUICK=1 preloaded "$HAK_ROOT/out/audit/libhakmem.so" "$HAK_OUT/tests/$1" "${@:2}"
}

# ---- other libraries' handlers ----

@test "handlers of a library that registered them before ours: the program needs it" {
    preloaded "$HAK_OUT/libhakmem.so" "$PROGRAMS/needs_locked"
}
@test "before ours: preloaded behind us" {
    preloaded "$HAK_OUT/libhakmem.so:$PROGRAMS/liblocked.so" "$PROGRAMS/uses_locked"
}
@test "after ours: preloaded before us" {
    preloaded "$PROGRAMS/liblocked.so:$HAK_OUT/libhakmem.so" "$PROGRAMS/uses_locked"
}
@test "after ours: loaded while the program runs" {
    preloaded "$HAK_OUT/libhakmem.so" "$PROGRAMS/uses_locked" "$PROGRAMS/liblocked.so"
}
@test "after ours: registered by main" { LOCKED_LATER=1 preloaded "$HAK_OUT/libhakmem.so" "$PROGRAMS/needs_locked"; }
@test "before and after ours in a static program" {
    proves other_handlers_static
    LOCKED_LATER=1 proves other_handlers_static
}
@test "before and after ours on the audit build" {
    export HAK_TEST_QUICK=1
    preloaded "$HAK_ROOT/out/audit/libhakmem.so" "$PROGRAMS/needs_locked"
    preloaded "$HAK_ROOT/out/audit/libhakmem.so" "$PROGRAMS/uses_locked" "$PROGRAMS/liblocked.so"
}

@test "before ours: the child's begins and joins a thread, and libc gives up stacks" { proves handlers_before_ours stacks-given-up; }
@test "before ours: one thread stands in it while another one forks" { proves handlers_before_ours two-at-once; }

# ends_with_one_error KIND LINES: the only error is a double free; the handler of SIGABRT prints
# LINES
ends_with_one_error() {
    run --separate-stderr timeout -k 5 "$HAK_TEST_SECONDS" env LD_PRELOAD="$HAK_OUT/libhakmem.so" "$HAK_OUT/tests/handlers_before_ours" "$1"
    printf '%s\n%s\n' "$stderr" "$output"
    [ "$status" -eq 134 ]
    [ "$output" = "$2" ]
    [ "$(grep -c '^hakmem: ' <<<"$stderr")" -eq 1 ]
    [[ $stderr == "hakmem: free(): double free: "* ]]
}

@test "before ours: it finds an error, and the handler of SIGABRT forks" { ends_with_one_error error $'allocates\nforks'; }
@test "a thread whose end nobody tells finds an error, and the handler of SIGABRT allocates" { ends_with_one_error late-error allocates; }

# ---- libc's locks ----

@test "fork while threads read lines and flush all streams" { proves libcs_locks streams; }
@test "fork while threads read characters and make streams of memory and of files" { proves libcs_locks characters; }
@test "fork while threads list folders" { proves libcs_locks folders; }
@test "fork while threads look up names" { proves libcs_locks names; }
@test "fork while threads change the locale" { proves libcs_locks locales; }
@test "fork while threads load libraries and list them" { proves libcs_locks libraries; }
@test "fork while threads write to the system's log" { proves libcs_locks logs; }
@test "fork while threads change the time zone" { proves libcs_locks zones; }
@test "fork while threads run programs" { proves libcs_locks programs; }
@test "libc's locks on the audit build" {
    on_audit libcs_locks streams
    on_audit libcs_locks programs
}

# ---- signal handlers ----

@test "a signal handler forks amidst of malloc and free, in a process of one thread" {
    for size in $(sizes_of 900 50000 5000000 300000); do
        proves fork_in_signal "$size" one thread
    done
    proves fork_in_signal 300000 one timer
}
@test "the same beside threads that allocate" {
    for size in $(sizes_of 900 300000 50000); do
        proves fork_in_signal "$size" at-work thread
    done
}
@test "the same while another thread takes the free memory of this one" {
    for size in 900 50000 300000; do
        proves fork_in_signal "$size" trim thread
    done
}
@test "a handler that forks is interrupted by one that forks" {
    proves fork_in_signal 900 one nested
    proves fork_in_signal 300000 trim nested
}
@test "signal handlers on the audit build" {
    on_audit fork_in_signal 50000 one thread
    on_audit fork_in_signal 300000 trim nested
}
@test "a fork while another thread looks whether it may seize this thread's heap" { proves hidden_heap_internal; }
@test "signals, forks, programs and streams in all threads" { proves signals_and_forks; }

# ---- children without handlers ----

@test "_Fork: the child goes on" {
    proves fork_without_handlers _Fork one
    proves fork_without_handlers _Fork at-work
    proves fork_without_handlers _Fork trim
}
@test "the function clone: the child goes on" {
    proves fork_without_handlers clone one
    proves fork_without_handlers clone trim
}
@test "the system call clone: the child goes on" {
    proves fork_without_handlers system-call one
    proves fork_without_handlers system-call trim
}
@test "children without handlers on the audit build" {
    on_audit fork_without_handlers _Fork one
    on_audit fork_without_handlers _Fork at-work
    on_audit fork_without_handlers system-call trim
}

# ---- other ways to start a process ----

@test "fork from several threads at once" { proves starts_at_once fork; }
@test "fork and exec from several threads at once" { proves starts_at_once fork-exec; }
@test "vfork whose child allocates" { proves starts_at_once vfork; }
@test "clone with the parent's memory" { proves starts_at_once clone-vm; }
@test "posix_spawn with actions and attributes" { proves starts_at_once spawn; }
@test "system and popen from several threads at once" {
    proves starts_at_once system
    proves starts_at_once popen
}
@test "each way at once, on the audit build too" {
    proves starts_at_once mixed
    on_audit starts_at_once mixed
}

# ---- memory ----

# child_needs SIZE HOW: measures how much memory the child had at most and in the end, in KiB, on
# HAKMEM (`most`, `end`) and on libc's malloc (`libcs_most`, `libcs_end`)
child_needs() {
    run env HAK_TEST_ANY_ALLOCATOR=1 timeout -k 5 "$HAK_TEST_SECONDS" "$HAK_OUT/tests/child_memory" "$@"
    said_ok
    read -r _ _ libcs_most _ libcs_end <<<"$output"
    proves child_memory "$@"
    read -r _ _ most _ end <<<"$output"
    echo "# $*: at most $most KiB, in the end $end KiB; libc's malloc: $libcs_most, $libcs_end"
}

# needs_no_more_than_libc HOW SIZE...: the child needs at most 1.2 times the memory that libc's
# malloc needs. If the child has four threads, each may have a last SuperSlab of 2 MiB besides. In
# the end only the program is resident. The library is a part of it, so 1 MiB more is allowed.
needs_no_more_than_libc() {
    local besides=0
    [ "$1" != threads ] || besides=$((4 * 2048))
    for size in $(sizes_of "${@:2}"); do
        child_needs "$size" "$1"
        [ "$most" -le $((libcs_most * 12 / 10 + besides)) ]
        [ "$end" -le $((libcs_end * 12 / 10 + 1024)) ]
    done
}

@test "a child uses the memory of threads that slept" { needs_no_more_than_libc idle 100 1000 6000 200000 3000000 30000; }
@test "so does the child of a child" { needs_no_more_than_libc twice 1000 30000 200000; }
@test "so do the child's threads, which end in between" { needs_no_more_than_libc threads 100 1000 30000 200000 6000; }

# One thread's heap more is allowed: it is lost if its thread was in the middle of a refill or flush
# when the process forked. Rarely more heaps are lost, so there are five tries.
@test "so does the child of threads at work, but for one that was amidst of a slow path" {
    one=$((16 << 10))
    for size in $(sizes_of 1000 200000 30000 100 6000); do
        for _ in 1 2 3 4 5; do
            child_needs "$size" busy
            [ "$most" -gt $((libcs_most * 12 / 10 + one)) ] || [ "$end" -gt $((libcs_end * 12 / 10 + 1024 + one)) ] || break
        done
        [ "$most" -le $((libcs_most * 12 / 10 + one)) ]
        [ "$end" -le $((libcs_end * 12 / 10 + 1024 + one)) ]
    done
}
