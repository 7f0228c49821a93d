/* Threads, blocks that prove their contents, and a ring that hands blocks from one thread to
 * another. */
#ifndef HAK_VERIFY_THREADS_H
#define HAK_VERIFY_THREADS_H

#include "../pattern.h"
#include "../process.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

TEST_UNUSED static pthread_t thread_start(void *(*body)(void *), void *argument) {
    pthread_t thread;
    int error = pthread_create(&thread, NULL, body, argument);
    CHECK(error == 0, "pthread_create: %d", error);
    return thread;
}

TEST_UNUSED static void thread_join(pthread_t thread) {
    int error = pthread_join(thread, NULL);
    CHECK(error == 0, "pthread_join: %d", error);
}

TEST_UNUSED static void thread_run(void *(*body)(void *), void *argument) {
    thread_join(thread_start(body, argument));
}

/* A block that has its own size and the seed of its contents, so that any thread can check it. */
struct letter {
    size_t size; /* bytes of the whole block, at least sizeof(struct letter) */
    uint64_t seed;
};

TEST_UNUSED static struct letter *letter_new(size_t size, uint64_t seed) {
    if (size < sizeof(struct letter)) size = sizeof(struct letter);
    struct letter *letter = (struct letter *)malloc(size);
    CHECK(letter != NULL, "malloc(%zu): errno %d", size, errno);
    letter->size = size;
    letter->seed = seed;
    pattern_fill(letter + 1, size - sizeof *letter, seed);
    return letter;
}

TEST_UNUSED static void letter_check(const struct letter *letter) {
    PATTERN_CHECK(letter + 1, letter->size - sizeof *letter, letter->seed);
}

TEST_UNUSED static void letter_free(struct letter *letter) {
    letter_check(letter);
    letter->seed = ~letter->seed;
    free(letter);
}

/* Resizes by realloc; checks the bytes that both sizes have, and fills the block again. */
TEST_UNUSED static struct letter *letter_resize(struct letter *letter, size_t size) {
    if (size < sizeof *letter) size = sizeof *letter;
    letter_check(letter);
    size_t kept = letter->size < size ? letter->size : size;
    letter = (struct letter *)realloc(letter, size);
    CHECK(letter != NULL, "realloc to %zu bytes: errno %d", size, errno);
    PATTERN_CHECK(letter + 1, kept - sizeof *letter, letter->seed);
    letter->size = size;
    pattern_fill(letter + 1, size - sizeof *letter, letter->seed);
    return letter;
}

/* A size as programs request it: mostly tiny, some mid and pool, a few large. */
TEST_UNUSED static size_t letter_size(uint64_t *seed) {
    uint64_t dice = test_random(seed) % 1000;
    if (dice < 850) return 16 + test_random_below(seed, 1000);
    if (dice < 960) return 1000 + test_random_below(seed, 7000);
    if (dice < 998) return 8000 + test_random_below(seed, 45000);
    return 53000 + test_random_below(seed, 200000);
}

/* Hands blocks over in order. One thread puts, one thread takes; each waits while the ring is
 * full or empty. */
enum { RING_SLOTS = 1024 };
struct ring {
    _Alignas(64) _Atomic size_t put_count;
    _Alignas(64) _Atomic size_t taken_count;
    void *slots[RING_SLOTS];
};

TEST_UNUSED static void ring_put(struct ring *ring, void *block) {
    size_t count = atomic_load_explicit(&ring->put_count, memory_order_relaxed);
    while (count - atomic_load_explicit(&ring->taken_count, memory_order_acquire) == RING_SLOTS)
        sched_yield();
    ring->slots[count % RING_SLOTS] = block;
    atomic_store_explicit(&ring->put_count, count + 1, memory_order_release);
}

TEST_UNUSED static void *ring_take(struct ring *ring) {
    size_t count = atomic_load_explicit(&ring->taken_count, memory_order_relaxed);
    while (atomic_load_explicit(&ring->put_count, memory_order_acquire) == count)
        sched_yield();
    void *block = ring->slots[count % RING_SLOTS];
    atomic_store_explicit(&ring->taken_count, count + 1, memory_order_release);
    return block;
}

#endif
