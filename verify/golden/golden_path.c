/* Runs one path of the allocator for ROUNDS rounds of 10 000 blocks: golden_path PATH ROUNDS.
 *
 * golden.sh runs it under callgrind with two values of ROUNDS: the difference of the counts is free
 * of start-up. It includes the driver's loop and calls, a few instructions that never change. */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 10000 };

static void *blocks[BLOCKS];

static void fail(const char *what) {
    fprintf(stderr, "golden_path: %s\n", what);
    exit(1);
}

/* malloc and free in turns: both take the fast path once the bin holds blocks. */
static void pair(size_t size) {
    for (int i = 0; i < BLOCKS; i++)
        free(malloc(size));
}

/* More blocks than any bin holds: every batch goes through refill and flush. */
static void many(size_t size) {
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = malloc(size);
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

/* The same, but neighbours in a bin's list are mostly from different slabs. */
static void scattered(size_t size) {
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = malloc(size);
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i * 1117 % BLOCKS]);
}

static void realloc_within_class(size_t size) {
    static void *block;
    for (size_t i = 0; i < BLOCKS; i++)
        block = realloc(block, size + i % 2);
}

static void calloc_pair(size_t size) {
    for (int i = 0; i < BLOCKS; i++)
        free(calloc(1, size));
}

static void aligned_pair(size_t size) {
    for (int i = 0; i < BLOCKS; i++)
        free(aligned_alloc(64, size));
}

/* This thread allocates, another frees. They take turns, so the counts are reproducible. A change
 * of turn costs a few hundred instructions for 10 000 blocks. */
static sem_t filled, emptied;

static void *free_remotely(void *unused) {
    for (;;) {
        sem_wait(&filled);
        if (blocks[0] == NULL) return unused;
        for (int i = 0; i < BLOCKS; i++)
            free(blocks[i]);
        sem_post(&emptied);
    }
}

static void remote_begin(pthread_t *thread) {
    sem_init(&filled, 0, 0);
    sem_init(&emptied, 0, 0);
    if (pthread_create(thread, NULL, free_remotely, NULL) != 0) fail("no thread");
}

static void remote(size_t size) {
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = malloc(size);
    sem_post(&filled);
    sem_wait(&emptied);
}

static void remote_end(pthread_t thread) {
    blocks[0] = NULL;
    sem_post(&filled);
    pthread_join(thread, NULL);
}

/* So many threads have heaps at the same time, leave a block in each, and end. The main thread then
 * reclaims all of these heaps, because none has space for a block of the pool tier. */
enum { HEAPS = 200 };

static pthread_barrier_t all_have_heaps;

static void *leave_block(void *unused) {
    if (malloc(64) == NULL) fail("no block");
    pthread_barrier_wait(&all_have_heaps);
    return unused;
}

static void reclaim_heaps(void) {
    static pthread_t threads[HEAPS];
    pthread_barrier_init(&all_have_heaps, NULL, HEAPS);
    for (int i = 0; i < HEAPS; i++)
        if (pthread_create(&threads[i], NULL, leave_block, NULL) != 0) fail("no thread");
    for (int i = 0; i < HEAPS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 100; i++)
        if (malloc(40000) == NULL) fail("no block");
}

static void many_reclaimed(size_t size) {
    static int reclaimed;
    if (!reclaimed) reclaim_heaps();
    reclaimed = 1;
    many(size);
}

static const struct path {
    const char *name;
    void (*round)(size_t size);
    size_t size;
} paths[] = {
    {"pair-16", pair, 16},
    {"pair-40", pair, 40},
    {"pair-64", pair, 64},
    {"pair-256", pair, 256},
    {"pair-1000", pair, 1000},
    {"pair-2000", pair, 2000},
    {"pair-4000", pair, 4000},
    {"pair-10000", pair, 10000},
    {"pair-40000", pair, 40000},
    {"pair-100KiB", pair, 102400},
    {"refill-flush-64", many, 64},
    {"refill-flush-6000", many, 6000},
    {"refill-flush-6000-of-200-heaps", many_reclaimed, 6000},
    {"scattered-64", scattered, 64},
    {"scattered-1000", scattered, 1000},
    {"remote-64", remote, 64},
    {"realloc-same-class", realloc_within_class, 1000},
    {"calloc-100", calloc_pair, 100},
    {"aligned_alloc-64-100", aligned_pair, 100},
};
enum { PATHS = sizeof paths / sizeof *paths };

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (int i = 0; i < PATHS; i++)
            puts(paths[i].name);
        return 0;
    }
    if (argc != 3) fail("usage: golden_path PATH ROUNDS, or --list");
    const struct path *path = NULL;
    for (int i = 0; i < PATHS; i++)
        if (strcmp(argv[1], paths[i].name) == 0) path = &paths[i];
    if (path == NULL) fail("no such path; see --list");
    int rounds = atoi(argv[2]);
    pthread_t thread = 0;
    if (path->round == remote) remote_begin(&thread);
    for (int i = 0; i < rounds; i++)
        path->round(path->size);
    if (path->round == remote) remote_end(thread);
    return 0;
}
