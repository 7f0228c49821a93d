/* Phases of the seeded driver: threads in step, and threads that race. */
#ifndef HAK_VERIFY_SEEDED_SEVERAL_THREADS_H
#define HAK_VERIFY_SEEDED_SEVERAL_THREADS_H

#include "driver.h"

/* ---- threads in step ------------------------------------------------------------------------- */

static pthread_barrier_t step;

static void threads_run(void *(*body)(void *), uintptr_t count) {
    pthread_t threads[4];
    for (uintptr_t i = 0; i < count; i++)
        EXPECT(pthread_create(&threads[i], NULL, body, (void *)i) == 0, "pthread_create");
    for (uintptr_t i = 0; i < count; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0, "pthread_join");
}

static void step_wait(void) {
    pthread_barrier_wait(&step);
}

static const unsigned remote_bins[] = {1, 0, 4, 9, 15, 36, 43, 16, 24, 2};
#define REMOTE_ROUNDS (2 * TEST_COUNT(remote_bins))

static size_t remote_count(size_t round) {
    return batch_count(remote_bins[round % TEST_COUNT(remote_bins)],
                       round % 2 == 0 ? 400 << 10 : 1500 << 10);
}

/* Thread 0 allocates, thread 1 frees. While thread 0 waits, thread 1 proves the heap. */
static void *remote_body(void *number) {
    uint64_t random = seed;
    for (size_t round = 0; round < REMOTE_ROUNDS; round++) {
        size_t count = remote_count(round);
        size_t size = hak_classes[remote_bins[round % TEST_COUNT(remote_bins)]].stride - 1;
        if (number == 0)
            for (size_t i = 0; i < count; i++)
                slot_take(&batch[i], size);
        step_wait();
        if (number != 0) {
            for (size_t i = 0; i < count / 2 && round % 3 == 0; i++)
                slot_give(&batch[test_random_below(&random, count)]);
            for (size_t i = 0; i < count; i++)
                slot_give(&batch[round % 3 == 1 ? count - 1 - i : i]);
        }
        step_wait();
        if (number != 0 && round % 4 == 0) prove_running();
        step_wait();
    }
    return NULL;
}

static void phase_remote(void) {
    EXPECT(pthread_barrier_init(&step, NULL, 2) == 0, "barrier");
    threads_run(remote_body, 2);
    pthread_barrier_destroy(&step);
}

#define SHARE (BATCH_MOST / 4)
/* Each of four threads allocates, and then frees what another thread allocated. */
static void *ring_body(void *number) {
    size_t self = (size_t)(uintptr_t)number;
    for (size_t round = 0; round < 12; round++) {
        size_t mine = self * SHARE, theirs = (self + 1 + round % 3) % 4 * SHARE;
        for (size_t i = 0; i < SHARE; i++)
            slot_take(&batch[mine + i], 20 + 40 * (i % 5) + 16 * round);
        step_wait();
        for (size_t i = 0; i < SHARE; i++)
            slot_give(&batch[theirs + i]);
        step_wait();
        if (self == 0) prove_running();
        step_wait();
    }
    return NULL;
}

static void phase_ring(void) {
    EXPECT(pthread_barrier_init(&step, NULL, 4) == 0, "barrier");
    threads_run(ring_body, 4);
    pthread_barrier_destroy(&step);
}

static pthread_key_t late_key;
static _Atomic int leavers[2]; /* thread ids of the two leavers */
static _Atomic unsigned lates;

/* In every second pair of leavers, the thread that comes later waits until the kernel no longer
 * knows the other thread. Then it finds the heap that the other thread left, and nothing but the
 * kernel orders the two threads. */
static void late_waits(void) {
    const int own = gettid();
    if (atomic_fetch_add_explicit(&lates, 1, memory_order_relaxed) % 4 != 3) return;
    size_t other = atomic_load_explicit(&leavers[0], memory_order_relaxed) == own ? 1 : 0;
    while (tgkill(getpid(), atomic_load_explicit(&leavers[other], memory_order_relaxed), 0) == 0)
        usleep(100);
}

/* A destructor that runs after the thread has given up its heap. */
static void late(void *value) {
    struct slot slot;
    late_waits();
    hak_free(value);
    for (size_t size = 20; size < 200000; size *= 7) {
        slot_take(&slot, size);
        slot_give(&slot);
    }
    for (size_t i = 0; i < 40; i++)
        hak_free(hak_malloc(100));
}

#define LEFT 1500
/* Frees a third of its blocks and leaves the others behind. One block more is freed by `late`,
 * after the thread's heap has ended. */
static void *leaver_body(void *number) {
    struct slot *mine = &batch[(size_t)(uintptr_t)number * SHARE];
    uint64_t random = seed + (uintptr_t)number;
    atomic_store_explicit(&leavers[(size_t)(uintptr_t)number], gettid(), memory_order_relaxed);
    for (size_t i = 0; i < LEFT; i++)
        slot_take(&mine[i], any_size(&random, i % 64 == 0 ? 200000 : 900));
    for (size_t i = 0; i < LEFT; i += 3)
        slot_give(&mine[i]);
    EXPECT(pthread_setspecific(late_key, hak_malloc(60)) == 0, "setspecific");
    step_wait();
    return NULL;
}

static void *no_body(void *unused) {
    return unused;
}

/* Waits until detached threads are gone: at its end, a detached thread frees what libc had for
 * it. /proc/self/task has a link for each thread; ThreadSanitizer has a thread of its own. If two
 * threads end at once, neither frees the other's stack: the thread that runs here frees it. */
static void detached_end(void) {
    struct stat tasks;
    do {
        usleep(1000);
        EXPECT(stat("/proc/self/task", &tasks) == 0, "no /proc");
    } while (tasks.st_nlink > 2 + 1 + (nlink_t)sanitized);
    threads_run(no_body, 1);
}

static void count_with_a_thread(struct hak_heap *heap, void *count) {
    *(size_t *)count += heap->state != HAK_HEAP_ABANDONED && heap->state != HAK_HEAP_RECLAIMED;
}

static void phase_exits(void) {
    struct slot own[4000];
    EXPECT(pthread_key_create(&late_key, late) == 0, "key");
    EXPECT(pthread_barrier_init(&step, NULL, 2) == 0, "barrier");
    for (size_t round = 0; round < 6; round++) {
        threads_run(leaver_body, 2);
        prove_running();
        for (size_t i = 0; i < BATCH_MOST; i += 2) /* their heaps are abandoned */
            slot_give(&batch[i]);
        for (size_t i = 0; i < TEST_COUNT(own); i++) /* and are reclaimed for these blocks */
            slot_take(&own[i], 300 + i % 900);
        prove_running();
        for (size_t i = 0; i < BATCH_MOST; i++)
            slot_give(&batch[i]);
        for (size_t i = 0; i < TEST_COUNT(own); i++)
            slot_give(&own[i]);
        prove_running();
    }
    pthread_barrier_destroy(&step);
    pthread_key_delete(late_key);
    detached_end(); /* joined threads, which the kernel may still know for a moment */
    hak_malloc_trim(0);
    size_t heaps = 0;
    hak_heap_each(count_with_a_thread, &heaps);
    EXPECT(heaps == 1, "%zu heaps have a thread, of which there is one", heaps);
}

#define SILENT 24
static _Atomic int silent_round;

static void *silent_body(void *round) {
    while (atomic_load(&silent_round) <= (int)(intptr_t)round)
        usleep(100);
    return NULL;
}

/* Threads that never allocate. After the last of their destructors has run, they free what libc
 * had for the stacks of other threads. */
static void phase_silent(void) {
    pthread_attr_t detached;
    pthread_t thread;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, (size_t)8 << 20); /* libc caches five of these */
    for (intptr_t round = 0; round < 3; round++) {
        for (int i = 0; i < SILENT; i++)
            EXPECT(pthread_create(&thread, &detached, silent_body, (void *)round) == 0,
                   "pthread_create");
        atomic_fetch_add(&silent_round, 1);
        detached_end();
        hak_malloc_trim(0);
    }
    pthread_attr_destroy(&detached);
}

/* One thread allocates, the other only frees: memory stays bounded. */
#define FREE_ONLY_BLOCKS 10000
#define FREE_ONLY_ROUNDS 25
static void *free_only_body(void *number) {
    size_t early = 0;
    for (size_t round = 0; round < FREE_ONLY_ROUNDS; round++) {
        if (number == 0)
            for (size_t i = 0; i < FREE_ONLY_BLOCKS; i++)
                slot_take(&batch[i], 400);
        step_wait();
        if (number != 0)
            for (size_t i = 0; i < FREE_ONLY_BLOCKS; i++)
                slot_give(&batch[i]);
        step_wait();
        size_t now = number == 0 && memory_is_ours() ? resident_mb() : 0;
        if (round == 4) early = now;
        if (round > 4)
            EXPECT(now <= early + 24, "%zu MiB in round %zu, %zu in round 4", now, round, early);
        step_wait();
    }
    return NULL;
}

static void phase_free_only(void) {
    EXPECT(pthread_barrier_init(&step, NULL, 2) == 0, "barrier");
    threads_run(free_only_body, 2);
    pthread_barrier_destroy(&step);
}

/* ---- threads that race ----------------------------------------------------------------------- */

#define SHARED 512
struct shared_block {
    struct slot slot;
};
static _Atomic(struct shared_block *) shared[SHARED];

static struct shared_block *shared_new(uint64_t *random) {
    size_t size = sizeof(struct shared_block) + any_size(random, 70000);
    struct shared_block *block = hak_malloc(size);
    EXPECT(block != NULL, "%zu bytes refused", size);
    block->slot = (struct slot){.block = (unsigned char *)(block + 1),
                                .size = size - sizeof *block,
                                .room = size - sizeof *block,
                                .fill = fill_next()};
    memset(block + 1, block->slot.fill, block->slot.room);
    return block;
}

static void shared_end(struct shared_block *block) {
    if (block == NULL) return;
    slot_verify_bytes(&block->slot, block->slot.room);
    hak_free(block);
}

static void *mixed_body(void *number) {
    uint64_t random = seed * 4 + (uintptr_t)number;
    for (int round = 0; round < 12000; round++) {
        count_operation();
        struct shared_block *mine = test_random_below(&random, 3) == 0 ? NULL : shared_new(&random);
        shared_end(atomic_exchange(&shared[test_random_below(&random, SHARED)], mine));
        if (round % 512 == 0) hak_mallopt(M_TRIM_THRESHOLD, (16 + round % 1024 / 512 * 16) << 20);
    }
    return NULL;
}

static void phase_mixed(void) {
    for (int round = 0; round < 3; round++)
        threads_run(mixed_body, 4);
    for (size_t i = 0; i < SHARED; i++)
        shared_end(atomic_exchange(&shared[i], NULL));
    hak_mallopt(M_TRIM_THRESHOLD, 128 << 20);
}

#endif
