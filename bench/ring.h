/* A ring through which one thread hands blocks to one other thread.
 *
 * The two threads announce blocks in lots, so that the ring itself costs little time. */
#ifndef HAK_BENCH_RING_H
#define HAK_BENCH_RING_H

#include <sched.h>
#include <stdatomic.h>

#include "bench/bench.h"

enum { RING_SLOTS = 1024, RING_LOT = 64 };

struct ring {
    _Alignas(64) _Atomic uint64_t produced;
    _Alignas(64) _Atomic uint64_t consumed;
    _Alignas(64) char *blocks[RING_SLOTS];
};

/* The end of the lot that begins at `begin`, if `cycles` blocks in all go through the ring. */
BENCH_UNUSED static uint64_t ring_lot_end(uint64_t begin, uint64_t cycles) {
    return cycles - begin < RING_LOT ? cycles : begin + RING_LOT;
}

/* Waits until `counter` is at least `target`. The acquire makes the entries of the other thread
 * visible. */
BENCH_UNUSED static void ring_wait(const _Atomic uint64_t *counter, uint64_t target) {
    unsigned turns = 0;
    while (atomic_load_explicit(counter, memory_order_acquire) < target) {
        if (++turns % 128 == 0) sched_yield();
    }
}

/* Waits until the blocks before `end` are in the ring, or until there is space for them. */
BENCH_UNUSED static void ring_wait_filled(const struct ring *ring, uint64_t end) {
    ring_wait(&ring->produced, end);
}
BENCH_UNUSED static void ring_wait_free(const struct ring *ring, uint64_t end) {
    if (end > RING_SLOTS) ring_wait(&ring->consumed, end - RING_SLOTS);
}

BENCH_UNUSED static void ring_put_lot(struct ring *ring, uint64_t end) {
    atomic_store_explicit(&ring->produced, end, memory_order_release);
}
BENCH_UNUSED static void ring_took_lot(struct ring *ring, uint64_t end) {
    atomic_store_explicit(&ring->consumed, end, memory_order_release);
}

#endif
