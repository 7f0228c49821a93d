/* Sixteen threads allocate, resize, hand over and free blocks of all tiers; threads end and
 * others begin. From time to time all threads stand still, and every equation of the heap is
 * proved. At the end no block may be left.
 *
 * usage: stress_internal [seconds] [seed] [threads]
 *   seconds   that two processors work for the test, so that a busy machine does equal work */
#define TEST_LINKED
#include "verify/tests/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "verify/clock.h"
#include "verify/heap_check.h"
#include "core/hooks.h"

#define THREADS_MAX 16
#define SHARED      4096
#define PRIVATE     512
#define STEPS_A_MS  256 /* steps of one thread in a millisecond of the allocator's clock */
#define PROCESSORS  2

struct item {
    size_t size;
    uint64_t mark; /* made of address and size; the block's last bytes have it, too */
};

static _Atomic(struct item *) shared[SHARED];
static _Atomic bool ending, endless;
static _Atomic uint64_t operations, generations;
static size_t threads = THREADS_MAX;
static pthread_barrier_t stop_all, go_on;
static _Atomic bool stopping;

static uint64_t mark_of(const struct item *item) {
    return ((uintptr_t)item ^ item->size * 0x9e3779b97f4a7c15u) | 1;
}

static struct item *item_mark(void *block, size_t size) {
    struct item *item = block;
    item->size = size;
    item->mark = mark_of(item);
    memcpy((char *)block + size - 8, &item->mark, 8);
    return item;
}

static void item_verify(const struct item *item) {
    uint64_t last;
    CHECK(item->mark == mark_of(item), "block %p of %zu bytes: first mark", (const void *)item,
          item->size);
    memcpy(&last, (const char *)item + item->size - 8, 8);
    CHECK(last == item->mark, "block %p of %zu bytes: last mark", (const void *)item, item->size);
}

static size_t item_size(uint64_t *random) {
    static const size_t most[] = {100, 200, 300, 1000, 1000, 8000, 60000, 400000};
    return 24 + test_random_below(random, most[test_random_below(random, TEST_COUNT(most))]);
}

static struct item *item_new(uint64_t *random) {
    size_t size = item_size(random);
    void *block;
    switch (test_random_below(random, 16)) {
    case 0:
        block = hak_aligned_alloc((size_t)16 << test_random_below(random, 9), size);
        break;
    case 1:
        block = hak_calloc(1, size);
        break;
    default:
        block = hak_malloc(size);
    }
    CHECK(block != NULL, "%zu bytes refused", size);
    return item_mark(block, size);
}

static void item_free(struct item *item) {
    item_verify(item);
    item->mark = 0;
    hak_free(item);
}

static struct item *item_resize(struct item *item, uint64_t *random) {
    size_t size = item_size(random);
    item_verify(item);
    struct item saved = *item;
    item = hak_realloc(item, size);
    CHECK(item != NULL && item->size == saved.size && item->mark == saved.mark, "realloc to %zu",
          size);
    return item_mark(item, size);
}

/* Puts an item into a random place of `shared`, for any thread that finds it; returns the item
 * that was there, or NULL. */
static struct item *item_exchange(struct item *item, uint64_t *random) {
    _Atomic(struct item *) *place = &shared[test_random_below(random, SHARED)];
    hak_hook_release(place);
    item = atomic_exchange(place, item);
    hak_hook_acquire(place);
    return item;
}

static void step(struct item **own, uint64_t *random) {
    size_t which = test_random_below(random, PRIVATE);
    switch (test_random_below(random, 8)) {
    case 0: { /* hand an item over, and free the one that was there */
        struct item *item = own[which] != NULL ? own[which] : item_new(random);
        own[which] = NULL;
        item = item_exchange(item, random);
        if (item != NULL) item_free(item);
        break;
    }
    case 1:
        if (own[which] != NULL) own[which] = item_resize(own[which], random);
        break;
    default:
        if (own[which] != NULL) item_free(own[which]);
        own[which] = own[which] == NULL ? item_new(random) : NULL;
    }
}

static void *worker(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    struct item *own[PRIVATE] = {NULL};
    uint64_t life = 20000 + test_random_below(&random, 200000);
    uint64_t done = 0;
    while ((done < life || atomic_load(&endless)) && !atomic_load(&ending)) {
        if (atomic_load(&stopping)) {
            pthread_barrier_wait(&stop_all);
            pthread_barrier_wait(&go_on);
        }
        step(own, &random);
        if (++done % STEPS_A_MS == 0) hak_clock_passes(1);
    }
    /* The worker frees half of its items; threads that find the others free these. */
    for (size_t i = 0; i < PRIVATE; i++) {
        if (own[i] == NULL) continue;
        struct item *item = i % 2 == 0 ? own[i] : item_exchange(own[i], &random);
        if (item != NULL) item_free(item);
    }
    atomic_fetch_add(&operations, done);
    return NULL;
}

/* Runs one worker after another. */
static void *line_of_workers(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    while (!atomic_load(&ending)) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, worker, (void *)(uintptr_t)test_random(&random)) == 0,
              "pthread_create");
        CHECK(pthread_join(thread, NULL) == 0, "pthread_join");
        atomic_fetch_add(&generations, 1);
    }
    return NULL;
}

static void prove(const char *when, double seconds, bool shown) {
    struct hak_heap_check check;
    bool sound = hak_check_heap(&check);
    if (shown || !sound)
        dprintf(
            STDERR_FILENO,
            "# %5.1f s: %s: %zu equations, %zu live, %zu large, %zu remote, %zu slabs, %zu heaps\n",
            seconds, when, check.equations, check.live, check.large, check.in_remote_lists,
            check.slabs, check.heaps);
    CHECK(sound, "%zu equations do not hold", check.faults);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return ((double)time.tv_sec + (double)time.tv_nsec / 1e9) / PROCESSORS;
}

/* Workers end and others begin, without a stop. The heap is proved when all have ended. */
static void run(double seconds, uint64_t seed) {
    pthread_t lines[THREADS_MAX];
    double begin = now();
    atomic_store(&ending, false);
    for (size_t i = 0; i < threads; i++)
        CHECK(pthread_create(&lines[i], NULL, line_of_workers,
                             (void *)(uintptr_t)(seed * 1000 + i)) == 0,
              "create");
    while (now() - begin < seconds) {
        struct timespec pause = {.tv_sec = seconds > 60 ? 10 : 0, .tv_nsec = 300000000};
        nanosleep(&pause, NULL);
        if (seconds > 60)
            dprintf(STDERR_FILENO, "# %5.1f s: %llu generations\n", now() - begin,
                    (unsigned long long)atomic_load(&generations));
    }
    atomic_store(&ending, true);
    for (size_t i = 0; i < threads; i++)
        pthread_join(lines[i], NULL);
    prove("threads ended", now() - begin, true);
}

/* The same number of workers, which do not end. Again and again all of them are stopped between
 * two steps, and the heap is proved in the middle of their work. */
static void run_with_stops(double seconds, uint64_t seed) {
    pthread_t workers[THREADS_MAX];
    double begin = now();
    CHECK(pthread_barrier_init(&stop_all, NULL, (unsigned)threads + 1) == 0, "barrier");
    CHECK(pthread_barrier_init(&go_on, NULL, (unsigned)threads + 1) == 0, "barrier");
    atomic_store(&ending, false);
    atomic_store(&endless, true);
    for (size_t i = 0; i < threads; i++)
        CHECK(pthread_create(&workers[i], NULL, worker, (void *)(uintptr_t)(seed * 77 + i)) == 0,
              "create");
    for (int stops = 1; now() - begin < seconds || stops == 1; stops++) {
        struct timespec work = {.tv_nsec = 50000000};
        nanosleep(&work, NULL);
        atomic_store(&stopping, true);
        pthread_barrier_wait(&stop_all);
        prove("threads stopped", now() - begin, stops % 20 == 1);
        atomic_store(&stopping, false);
        pthread_barrier_wait(&go_on);
    }
    atomic_store(&ending, true);
    for (size_t i = 0; i < threads; i++)
        pthread_join(workers[i], NULL);
    atomic_store(&endless, false);
}

int main(int argc, char **argv) {
    double seconds = argc > 1 ? atof(argv[1]) : 5;
    uint64_t seed = argc > 2 ? (uint64_t)atol(argv[2]) : 1;
    if (argc > 3) threads = (size_t)atol(argv[3]);
    CHECK(threads > 0 && threads <= THREADS_MAX, "1 to %d threads", THREADS_MAX);
    struct hak_heap_check before, after;
    /* Before blocks are counted, the thread library allocates what it keeps for each thread. */
    run(0.3, seed);
    for (size_t i = 0; i < SHARED; i++)
        if (shared[i] != NULL) item_free(atomic_exchange(&shared[i], NULL));
    CHECK(hak_check_heap(&before), "before: %zu equations do not hold", before.faults);
    run(seconds * 0.7, seed);
    run_with_stops(seconds * 0.3, seed);
    for (size_t i = 0; i < SHARED; i++)
        if (shared[i] != NULL) item_free(shared[i]);
    hak_malloc_trim(0);
    prove("all freed", seconds, true);
    CHECK(hak_check_heap(&after), "after: %zu equations do not hold", after.faults);
    CHECK(after.live == before.live && after.large == before.large,
          "%zu blocks and %zu large ones are left over", after.live - before.live,
          after.large - before.large);
    return test_ok("%llu operations, %llu threads", (unsigned long long)atomic_load(&operations),
                   (unsigned long long)atomic_load(&generations) + threads);
}
