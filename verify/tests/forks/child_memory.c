/* Four threads have much memory each, and the process forks. In the child these threads do not
 * exist. The child frees all of their memory and allocates as much again, several times. Then it
 * frees all, and trims. It prints how much was resident at most, and in the end, in KiB. forks.bats
 * compares the figures with those of libc's malloc for the same program.
 *
 * arguments: the size of a block, and how:
 *   idle      the threads sleep when the process forks
 *   busy      the threads free and allocate meanwhile
 *   twice     the child of the child does the work
 *   threads   threads of the child do the work, and end in between */
#include "forks.h"

enum { THREADS = 4, ROUNDS = 4 };

static size_t size, count, most;
static char *volatile *blocks;
static volatile bool busy;
static _Atomic size_t ready;

static void fill(size_t i) {
    char *block = malloc(size);
    CHECK(block != NULL, "%zu bytes", size);
    memset(block, 1, size);
    blocks[i] = block;
}

static void drop(size_t i) {
    char *block = blocks[i];
    blocks[i] = NULL; /* before the free: a child must not find a freed block here */
    free(block);
}

static void *have_much(void *number) {
    uint64_t seed = (uint64_t)(size_t)number;
    for (size_t i = (size_t)number; i < count; i += THREADS)
        fill(i);
    ready++;
    while (busy) {
        size_t i = test_random_below(&seed, count / THREADS) * THREADS + (size_t)number;
        drop(i);
        fill(i);
    }
    for (;;)
        pause();
    return NULL;
}

static void *drop_all(void *number) {
    for (size_t i = (size_t)number; i < count; i += THREADS)
        drop(i);
    return NULL;
}

static void *fill_all(void *number) {
    for (size_t i = (size_t)number; i < count; i += THREADS)
        fill(i);
    return NULL;
}

static void by_all(void *(*body)(void *), bool with_threads) {
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        if (with_threads)
            threads[i] = thread_start(body, (void *)i);
        else
            body((void *)i);
    for (size_t i = 0; i < THREADS && with_threads; i++)
        thread_join(threads[i]);
}

/* Runs in the child, and ends it. */
static void measure(bool with_threads) {
    alarm(FORKS_CHILD_SECONDS);
    busy = false;
    for (int round = 0; round < ROUNDS; round++) {
        by_all(drop_all, with_threads);
        by_all(fill_all, with_threads);
        size_t now = process_resident();
        if (now > most) most = now;
    }
    for (size_t i = 0; i < count; i++)
        drop(i);
    malloc_trim(0);
    test_ok("most %zu end %zu", most >> 10, process_resident() >> 10);
    _exit(0);
}

int main(int argument_count, char **arguments) {
    test_needs_hakmem();
    CHECK(argument_count == 3, "usage: %s SIZE HOW", arguments[0]);
    size = strtoul(arguments[1], NULL, 0);
    const char *how = arguments[2];
    bool twice = strcmp(how, "twice") == 0, with_threads = strcmp(how, "threads") == 0;
    busy = strcmp(how, "busy") == 0;
    CHECK(busy || twice || with_threads || strcmp(how, "idle") == 0, "how: %s?", how);
    count = 64 * MIB / size;
    blocks = process_map(count * sizeof *blocks);
    alarm(FORKS_SECONDS);
    for (size_t i = 0; i < THREADS; i++)
        thread_start(have_much, (void *)i);
    while (ready < THREADS)
        usleep(100);
    pid_t child = fork();
    if (child == 0) {
        pid_t grandchild = twice ? fork() : 0;
        if (grandchild == 0) measure(with_threads);
        child_ended_well(grandchild, how, 1);
        _exit(0);
    }
    child_ended_well(child, how, 0);
    _exit(0);
}
