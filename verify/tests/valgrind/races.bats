# Helgrind and DRD on the valgrind build: they watch HAKMEM's cross-thread protocol, and the
# program's threads.

load ../on_hakmem

setup_file() {
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=valgrind lib out/valgrind/tests/stress_internal >&2
    cat >"$BATS_FILE_TMPDIR/threads.c" <<'C'
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
enum { BLOCKS = 6000, THREADS = 2 };
static char *blocks[BLOCKS], *again[BLOCKS];
// Changed by read-modify-write only: both tools take that for a read, so that no order comes of it.
static atomic_int done, seen;
static void wait_for(atomic_int *counter, int value) {
    while (atomic_load(counter) < value) sched_yield();
}
static void *free_there(void *first) {
    for (size_t i = (size_t)first; i < BLOCKS; i += THREADS + 1) free(blocks[i]);
    atomic_fetch_add(&done, 1);
    wait_for(&seen, 1); // what it frees must come home before its end
    return NULL;
}
static void *write_there(void *first) {
    *(volatile int *)blocks[0] = (int)(size_t)first;
    atomic_fetch_add(&done, 1);
    wait_for(&seen, 1);
    return NULL;
}
static void allocate(char **to) {
    for (size_t i = 0; i < BLOCKS; i++) to[i] = malloc(40);
}
int main(int argc, char **argv) {
    pthread_t threads[THREADS];
    allocate(blocks);
    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, argc > 1 && strcmp(argv[1], "race") == 0 ? write_there : free_there, (void *)i);
    wait_for(&done, THREADS);
    allocate(again); // on what came home
    int status = 0;
    if (argc > 1 && strcmp(argv[1], "fork") == 0) {
        if (fork() == 0) {
            allocate(again);
            _exit(0);
        }
        wait(&status);
    }
    atomic_fetch_add(&seen, 1);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    return status;
}
C
    "${CC:-gcc}" -g -O0 -w -fno-builtin -pthread "$BATS_FILE_TMPDIR/threads.c" -o "$BATS_FILE_TMPDIR/threads"
}

# under TOOL ROOT PROGRAM ARGS...: runs the program under the tool; status 99 if the tool reported
# anything. The audit's summary proves that HAKMEM's code ran. The threads take turns
# (--fair-sched): otherwise one of them may wait for minutes.
under() {
    local tool=$1 root=$2
    shift 2
    HAKMEM_AUDIT_SUMMARY=1 run timeout "$HAK_TEST_SECONDS" "$root/build.sh" valgrind -- --tool="$tool" --fair-sched=yes --error-exitcode=99 -q "$@"
    printf '%s\n' "$output" | head -n 60
}

is_clean() {
    [ "$status" -eq 0 ]
    [[ $output != *"=="* ]]
    [[ $output =~ audit:\ level\ 2:\ checked\ [0-9]{2,}\ batches ]]
}

# untold ROOT: each atomic word that core/ stores to without telling Helgrind and DRD that it is
# atomic (hak_hook_atomic). Two parameters have no name of their own.
untold() {
    local stored field whole
    cat "$1"/core/*.[ch] | tr -d ' \n' | grep -oE 'atomic_store_(explicit|n)\(&?[a-zA-Z][^,]+,' | sort -u |
        while IFS='(' read -r _ stored; do
            stored=${stored%,} stored=${stored#&}
            field=${stored%%[[(]*} field=${field##*[.>]} whole=${stored%%[.>[-]*}
            case $field in word | sum) continue ;; esac
            grep -qE "hak_hook_atomic\(&?([^,]*[.>])?${field}[],([]|hak_hook_atomic\(&$whole," "$1"/core/*.c || echo "$stored"
        done
}

@test "each atomic word that is stored to is told to both" {
    run untold "$HAK_ROOT"
    [ -z "$output" ]
    mkdir "$BATS_TEST_TMPDIR/core"
    sed '/hak_hook_atomic(&purge_found/d' "$HAK_ROOT/core/os.c" >"$BATS_TEST_TMPDIR/core/os.c"
    cp "$HAK_ROOT/core/os.h" "$BATS_TEST_TMPDIR/core"
    run untold "$BATS_TEST_TMPDIR"
    [ "$output" = purge_found ]
}

@test "Helgrind has nothing to report on the stress test" {
    under helgrind "$HAK_ROOT" "$HAK_ROOT/out/valgrind/tests/stress_internal" 0.1 7 3
    is_clean
    [[ $output == *"ok: "*" operations, "* ]]
}

@test "DRD has nothing to report on the stress test" {
    under drd "$HAK_ROOT" "$HAK_ROOT/out/valgrind/tests/stress_internal" 0.1 7 2
    is_clean
    [[ $output == *"ok: "*" operations, "* ]]
}

@test "blocks that other threads free come home in order, and a forked child's locks are free" {
    for tool in helgrind drd; do
        under "$tool" "$HAK_ROOT" "$BATS_FILE_TMPDIR/threads"
        is_clean
        under "$tool" "$HAK_ROOT" "$BATS_FILE_TMPDIR/threads" fork
        is_clean
    done
}

@test "a race on a block of the program is reported at its line" {
    under helgrind "$HAK_ROOT" "$BATS_FILE_TMPDIR/threads" race
    [ "$status" -eq 99 ]
    [[ $output == *"Possible data race during write of size 4"*"at 0x"*"write_there (threads.c:22)"* ]]
    [[ $output == *"This conflicts with a previous write of size 4"*"write_there (threads.c:22)"* ]]
    under drd "$HAK_ROOT" "$BATS_FILE_TMPDIR/threads" race
    [ "$status" -eq 99 ]
    [[ $output == *"Conflicting store by thread"*"size 4"*"write_there (threads.c:22)"*"is at offset 0 from"*"allocate (threads.c:28)"* ]]
}

@test "both watch the protocol: a push that releases nothing is reported" {
    copy=$BATS_TEST_TMPDIR/copy
    mkdir -p "$copy"
    cp -r "$HAK_ROOT"/{Makefile,build.sh,ci,core,verify,bench} "$copy"
    # removes the first of the two releases, which is the push's
    sed -i '0,/hak_hook_release(&slab->remote);/s///' "$copy/core/remote.h"
    [ "$(grep -c 'hak_hook_release(&slab->remote)' "$copy/core/remote.h")" -eq 1 ]
    for tool in helgrind drd; do
        under "$tool" "$copy" "$BATS_FILE_TMPDIR/threads"
        [ "$status" -eq 99 ]
        [[ $output == *"collect_slab (collect.c:"* ]]
    done
}
