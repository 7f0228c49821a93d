/* Threads whose end nobody tells: they allocate in the last round of destructors, after the
 * allocator's own destructor, or when no destructor runs any more (all signals are blocked then).
 * Each of them keeps its untracked heap from one call to the next. The heap becomes abandoned
 * when the thread is gone, also before a fork. */
#define TEST_LINKED
#include "threads.h"

#include <limits.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "core/heap.h"
#include "verify/heap_check.h"

enum { THREADS = 200, LETTERS = 60, PAIRS = 1000 };

static struct letter *letters[LETTERS];
static pthread_key_t key;
static unsigned round_of_destructors;

/* ---- what a late thread does ----------------------------------------------------------------- */

static void keeps_its_heap(void) {
    hak_free(hak_malloc(40));
    struct hak_heap *heap = hak_thread_heap();
    CHECK(hak_heap_is_real(heap) && heap->untracked_process == getpid(), "no untracked heap");
    CHECK(atomic_load(&heap->untracked_gone) == 0,
          "found gone before it began: a later thread may have that number");
    uint32_t rooms = atomic_load(&heap->free_capacity[HAK_CLASS_HEADER(hak_class_of_size(40))]);
    for (int i = 0; i < PAIRS; i++)
        hak_free(hak_malloc(40));
    CHECK(hak_thread_heap() == heap, "another heap");
    CHECK(atomic_load(&heap->free_capacity[HAK_CLASS_HEADER(hak_class_of_size(40))]) == rooms,
          "not by the bin");
}

/* Frees the letters, small and large, that the thread before left, and leaves new ones. */
static void leaves_letters(void) {
    for (size_t i = 0; i < LETTERS; i++) {
        if (letters[i] != NULL) letter_free(letters[i]);
        letters[i] = letter_new(i % 20 == 19 ? 100000 : 30 + i * 200, i);
    }
}

static void late(void *value) {
    if (++round_of_destructors < PTHREAD_DESTRUCTOR_ITERATIONS) {
        pthread_setspecific(key, value);
        return;
    }
    CHECK(hak_thread_heap() == &hak_heap_gone, "the allocator's own destructor has not run");
    keeps_its_heap();
    leaves_letters();
}

static void *in_a_late_destructor(void *argument) {
    round_of_destructors = 0;
    free(malloc(1));
    pthread_setspecific(key, argument);
    return argument;
}

static void *with_all_signals_blocked(void *argument) {
    uint64_t all = ~(uint64_t)0;
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all) == 0, "errno %d", errno);
    keeps_its_heap();
    leaves_letters();
    return argument;
}

/* A thread that only frees needs no heap. */
static void *only_frees(void *argument) {
    uint64_t all = ~(uint64_t)0;
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all) == 0, "errno %d", errno);
    for (size_t i = 0; i < LETTERS; i++) {
        letter_free(letters[i]);
        letters[i] = NULL;
    }
    CHECK(hak_thread_heap() == &hak_heap_gone, "a heap for frees");
    return argument;
}

/* ---- what becomes of their heaps ------------------------------------------------------------- */

static void count_heap(struct hak_heap *heap, void *counts) {
    size_t *count = counts;
    count[hak_home_owned_by(&heap->home, NULL) ? 0 : 1]++;
}

/* Each heap is abandoned, except for the heap of this thread. */
static void heaps_are(const char *when, size_t most) {
    size_t count[2] = {0};
    hak_heap_each(count_heap, count);
    CHECK(count[1] == 1, "%s: %zu heaps are not in the pool", when, count[1]);
    CHECK(count[0] <= most, "%s: %zu heaps in the pool", when, count[0]);
}

/* pthread_join(3) returns a little before the kernel forgets the thread. */
static void run_to_the_end(void *(*body)(void *)) {
    thread_run(body, &key);
    while (process_threads() > 1)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static void forked_child_has_all(void) {
    pid_t child = fork();
    CHECK(child >= 0, "fork: errno %d", errno);
    if (child == 0) {
        hak_malloc_trim(0);
        heaps_are("in the child", 3);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0, "the child ends with status %#x",
          status);
}

static void each_kind(const char *name, void *(*body)(void *)) {
    for (size_t i = 0; i < THREADS; i++)
        run_to_the_end(body);
    forked_child_has_all();
    run_to_the_end(body);
    hak_malloc_trim(0);
    heaps_are(name, 3);
}

int main(void) {
    struct hak_heap_check before, after;
    test_needs_hakmem();
    hak_free(hak_malloc(1));
    CHECK(pthread_key_create(&key, late) == 0, "no key"); /* made after the allocator's own key */
    CHECK(hak_check_heap(&before), "%zu equations do not hold", before.faults);
    each_kind("late destructors", in_a_late_destructor);
    each_kind("blocked signals", with_all_signals_blocked);
    run_to_the_end(only_frees);
    hak_malloc_trim(0);
    CHECK(hak_check_heap(&after), "%zu equations do not hold", after.faults);
    CHECK(after.live <= before.live + 2 && after.large == before.large, "%zu blocks are left over",
          after.live - before.live);
    return test_ok("%d threads, %zu heaps", 2 * THREADS, after.heaps);
}
