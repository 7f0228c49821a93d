/* bench_all_to_all [threads] [cycles] [min] [max] [seed]
 *
 * Each thread allocates `cycles` blocks and sends them, lot by lot, to threads drawn at random; it
 * frees the blocks that the others send to it. An operation is a malloc or a free. */
#include "bench/ring.h"

enum { THREADS_MAX = 64 };

struct member {
    pthread_t thread;
    uint32_t number;
    struct bench_rng rng;
};

static uint32_t threads, size_min, sizes;
static uint64_t cycles;
/* One ring from each thread to each thread; the rings from a thread to itself stay empty. */
static struct ring *rings;
static _Atomic uint32_t senders;

static struct ring *ring_between(uint32_t from, uint32_t to) {
    return &rings[from * threads + to];
}

static void free_arrived(uint32_t number) {
    for (uint32_t from = 0; from < threads; from++) {
        struct ring *ring = ring_between(from, number);
        uint64_t end = atomic_load_explicit(&ring->produced, memory_order_acquire);
        uint64_t begin = atomic_load_explicit(&ring->consumed, memory_order_relaxed);
        if (begin == end) continue;
        for (uint64_t i = begin; i < end; i++) {
            free(ring->blocks[i % RING_SLOTS]);
        }
        ring_took_lot(ring, end);
    }
}

/* Frees arriving blocks until the ring has space: two threads that wait for each other must not
 * stop for ever. */
static void free_until_room(uint32_t number, const struct ring *ring, uint64_t end) {
    for (;;) {
        free_arrived(number);
        if (end - atomic_load_explicit(&ring->consumed, memory_order_acquire) <= RING_SLOTS) return;
        sched_yield();
    }
}

static void *work(void *argument) {
    struct member *self = (struct member *)argument;
    struct bench_rng rng = self->rng;
    for (uint64_t done = 0; done < cycles;) {
        uint32_t to = (self->number + 1 + bench_rng_below(&rng, threads - 1)) % threads;
        struct ring *ring = ring_between(self->number, to);
        uint64_t begin = atomic_load_explicit(&ring->produced, memory_order_relaxed);
        uint64_t end = begin + (ring_lot_end(done, cycles) - done);
        free_until_room(self->number, ring, end);
        for (uint64_t i = begin; i < end; i++) {
            ring->blocks[i % RING_SLOTS] = bench_block(size_min + bench_rng_below(&rng, sizes));
        }
        ring_put_lot(ring, end);
        done += end - begin;
    }
    /* A release of the last lot precedes that of the count: a thread that sees 0 sees every lot. */
    atomic_fetch_sub_explicit(&senders, 1, memory_order_acq_rel);
    while (atomic_load_explicit(&senders, memory_order_acquire) != 0) {
        free_arrived(self->number);
        sched_yield();
    }
    free_arrived(self->number);
    return NULL;
}

int main(int argc, char **argv) {
    threads = (uint32_t)bench_arg(argc, argv, 1, 4, 2, THREADS_MAX);
    cycles = bench_arg(argc, argv, 2, 1000000, 1, UINT64_MAX / (2 * THREADS_MAX));
    size_min = (uint32_t)bench_arg(argc, argv, 3, 16, 1, INT32_MAX);
    sizes = (uint32_t)bench_arg(argc, argv, 4, 1039, size_min, INT32_MAX) - size_min + 1;
    uint64_t seed = bench_arg(argc, argv, 5, 42, 0, UINT64_MAX - THREADS_MAX);
    rings = (struct ring *)bench_table((size_t)threads * threads, sizeof *rings);
    struct member *members = (struct member *)bench_table(threads, sizeof *members);
    atomic_store(&senders, threads);
    double start = bench_now();
    for (uint32_t i = 0; i < threads; i++) {
        members[i].number = i;
        members[i].rng = bench_rng_start(seed + i);
        bench_start_thread(&members[i].thread, work, &members[i]);
    }
    for (uint32_t i = 0; i < threads; i++) {
        pthread_join(members[i].thread, NULL);
    }
    bench_report(cycles * 2 * threads, bench_now() - start);
    return 0;
}
