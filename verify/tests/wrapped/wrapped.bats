#!/usr/bin/env bats
# Libraries wrap the functions that an allocator might call, and allocate in the wrapper: one
# function at a time, and all at once. They are preloaded before HAKMEM, behind it, and in a
# program that is linked with HAKMEM.

load ../on_hakmem
load ../planted

functions=(madvise mmap munmap mremap mprotect sbrk
    syscall getpid gettid getcpu sched_getcpu sched_yield getenv getauxval sysconf
    clock_gettime gettimeofday time nanosleep
    open read write close fcntl fprintf fwrite
    pthread_mutex_lock pthread_mutex_unlock pthread_mutex_trylock pthread_cond_signal pthread_cond_broadcast
    pthread_cond_timedwait pthread_once pthread_self pthread_create pthread_sigmask pthread_setcancelstate
    pthread_key_create pthread_key_delete pthread_setspecific pthread_getspecific
    sigprocmask sigaction raise fork __register_atfork
    memcpy memset memmove memcmp strlen strcmp strncmp strchr __errno_location
    dl_iterate_phdr dlopen dlmopen dlclose dlsym dladdr1)

# wrapper OUT FUNCTION...: builds a library that wraps these functions, and also abort if they are
# more than one
wrapper() {
    local out=$1 names rare=''
    shift
    [ $# -eq 1 ] || rare='WRAP(abort)'
    printf -v names 'WRAP(%s) ' "$@"
    gcc -std=gnu11 -D_GNU_SOURCE -O2 -fno-builtin -Wall -Wextra -shared -fPIC "-DNAMES=$names" "-DRARE=$rare" \
        -o "$out" "$PROGRAMS/wrapper.c" -ldl
}

setup_file() {
    export PROGRAMS=$HAK_ROOT/verify/tests/wrapped/programs
    local started=0 gcc=(gcc -std=gnu11 -D_GNU_SOURCE -O1 -g -fno-builtin -Wall -Wextra -I"$HAK_ROOT/verify/tests") name
    cd "$BATS_FILE_TMPDIR"
    "${gcc[@]}" -o preloaded "$PROGRAMS/works.c" -pthread -ldl
    "${gcc[@]}" -o linked "$PROGRAMS/works.c" -Wl,--no-as-needed -L"$HAK_OUT" -lhakmem -Wl,-rpath,"$HAK_OUT" -pthread -ldl
    "${gcc[@]}" -shared -fPIC -o early.so "$PROGRAMS/early.c" -pthread
    "${gcc[@]}" -shared -fPIC -Wl,-z,initfirst -o first.so "$PROGRAMS/early.c" -pthread
    "${gcc[@]}" -shared -fPIC -o clock.so "$PROGRAMS/clock.c" -ldl
    wrapper all.so "${functions[@]}"
    for name in $(some_functions); do
        wrapper "only_$name.so" "$name" &
        [ $((++started % 4)) -ne 0 ] || wait
    done
    wait
}

# some_functions: prints all functions, or in a quick run one of each kind: a system call, the
# wrapper `syscall`, the clock, a lock, a key, a copy
some_functions() {
    if [ "$HAK_TEST_QUICK" = 1 ]; then
        echo madvise syscall clock_gettime pthread_mutex_lock pthread_setspecific memcpy
    else
        echo "${functions[@]}"
    fi
}

setup() {
    bats_require_minimum_version 1.5.0
    cd "$BATS_FILE_TMPDIR"
    export HAKMEM_PURGE_DELAY_MS=20
    LIB=$HAK_OUT/libhakmem.so
}

# runs PROGRAM PRELOAD ARGS...: the program ends well, and ran on HAKMEM
runs() {
    local program=$1 preload=$2
    shift 2
    run --separate-stderr timeout -k 5 "$HAK_TEST_SECONDS" env HAKMEM_STATS=1 LD_PRELOAD="$preload" "./$program" "$@"
    if [ "$status" -ne 0 ] || [[ $output != "ok: "* ]] || [[ $stderr != *"hakmem: live blocks"* ]]; then
        printf '%s with %s: exit status %s\n%s\n%s\n' "$program" "$preload" "$status" "$output" "$stderr"
        return 1
    fi
}

# each PROGRAM PRELOAD: runs the program for each function, with its library in the place of W
each() {
    local name
    for name in $(some_functions); do runs "$1" "${2/W/$PWD/only_$name.so}"; done
}

# faults PROGRAM PRELOAD: the double free is reported and ends the process
faults() {
    run --separate-stderr timeout -k 5 "$HAK_TEST_SECONDS" env LD_PRELOAD="$2" "./$1" fault
    printf '%s\n%s\n' "$status" "$stderr"
    [ "$status" -eq 134 ]
    [[ $stderr == "hakmem: free(): double free: pointer 0x"*", size 47, tiny class 2, state free, owner thread "* ]]
    [ "${#stderr_lines[@]}" -eq 1 ]
}

@test "each function wrapped, the wrapper before HAKMEM" { each preloaded "W $LIB"; }
@test "each function wrapped, the wrapper behind HAKMEM" { each preloaded "$LIB W"; }
@test "each function wrapped, HAKMEM linked" { each linked "W"; }

@test "all functions wrapped" {
    runs preloaded "$PWD/all.so $LIB"
    runs preloaded "$LIB $PWD/all.so"
    runs linked "$PWD/all.so"
}

@test "all functions wrapped: a double free is reported, and SIGABRT ends the process" {
    faults preloaded "$PWD/all.so $LIB"
    faults preloaded "$LIB $PWD/all.so"
    faults linked "$PWD/all.so"
}

@test "an unknown option is reported where all functions are wrapped" {
    export HAKMEM_STAT=1
    runs preloaded "$PWD/all.so $LIB"
    [[ $stderr == *"hakmem: option HAKMEM_STAT is unknown; did you mean HAKMEM_STATS?"* ]]
}

@test "a library whose constructor runs before ours allocates, has a thread, and forks" {
    runs preloaded "$PWD/early.so $LIB"
    runs preloaded "$LIB $PWD/early.so"
    runs preloaded "$LIB $PWD/first.so"
    runs linked "$PWD/first.so"
    runs preloaded "$LIB $PWD/all.so $PWD/first.so"
}

@test "memory goes back to the system by any clock that a library tells" {
    for clock in still back jump; do
        export WRAPPED_CLOCK=$clock
        runs preloaded "$PWD/clock.so $LIB" returns
        [ "$HAK_TEST_QUICK" != 1 ] || continue
        runs preloaded "$LIB $PWD/clock.so" returns
        runs linked "$PWD/clock.so" returns
    done
}

@test "no lock is held where HAKMEM calls libc" { proves no_lock_at_calls_out_internal; }

@test "nor in the report of an error that is found under a lock" {
    for rank in 0 1 2 3; do
        run --separate-stderr timeout "$HAK_TEST_SECONDS" "$HAK_OUT/tests/no_lock_at_calls_out_internal" $rank
        printf '%s\n%s\n' "$output" "$stderr"
        [ "$status" -eq 0 ]
        [ "$output" = "ok: no lock was held" ]
    done
}

# on_planted FUNCTION SECONDS: builds the planted library and runs the program on it, with this
# function wrapped
on_planted() {
    make --no-print-directory -s out/release/libhakmem.so
    run timeout -k 1 "$2" env LD_PRELOAD="$BATS_FILE_TMPDIR/only_$1.so $PWD/out/release/libhakmem.so" "$BATS_FILE_TMPDIR/preloaded"
    printf '%s: %s\n%s\n' "$1" "$status" "$output"
}

@test "an allocator that calls madvise or gettid of libc fails here" {
    [ "$HAK_TEST_QUICK" != 1 ] || skip "a build"
    planted release calls
    cp core/os.c os.c
    local began=$SECONDS
    on_planted madvise "$HAK_TEST_SECONDS"
    [ "$output" = "ok: work" ]
    local limit=$((10 * (SECONDS - began) + 5))
    sed -i 's/hak_syscall3(SYS_madvise, (long)start, (long)bytes, MADV_DONTNEED);/madvise(start, bytes, MADV_DONTNEED);/' core/os.c
    run ! cmp -s core/os.c os.c
    on_planted madvise "$limit"
    [ "$status" -ne 0 ]
    cp os.c core/os.c
    cp core/os_process.c os_process.c
    sed -i -e 's/return number_of(SYS_gettid);/return gettid();/' -e 's/#include <signal.h>/&\n#include <unistd.h>/' core/os_process.c
    run ! cmp -s core/os_process.c os_process.c
    on_planted gettid "$limit"
    [ "$status" -ne 0 ] # mostly it recurses for ever at its first call
}
