/* bench_prodcons [size] [cycles]
 *
 * One thread allocates, another frees: every block crosses from its owner to a stranger, through a ring of
 * fixed length. A cycle is one block, two operations. */
#include <sched.h>
#include <stdatomic.h>

#include "bench/bench.h"

enum {
    RING = 1024,
    /* The threads tell each other of blocks in lots, for it is not the ring that is to be measured. */
    LOT = 64
};

struct ring {
    _Alignas(64) _Atomic uint64_t produced;
    _Alignas(64) _Atomic uint64_t consumed;
    _Alignas(64) char *blocks[RING];
    size_t size;
    uint64_t cycles;
};

static struct ring ring;

/* Waits until `counter` is at least `target`; the acquire makes the other thread's ring entries visible. */
static void wait_for(const _Atomic uint64_t *counter, uint64_t target) {
    unsigned turns = 0;
    while (atomic_load_explicit(counter, memory_order_acquire) < target) {
        if (++turns % 128 == 0) sched_yield();
    }
}

static uint64_t lot_end(uint64_t begin) {
    return ring.cycles - begin < LOT ? ring.cycles : begin + LOT;
}

static void *consume(void *unused) {
    (void)unused;
    for (uint64_t begin = 0; begin < ring.cycles;) {
        uint64_t end = lot_end(begin);
        wait_for(&ring.produced, end);
        for (uint64_t i = begin; i < end; i++) {
            char *block = ring.blocks[i % RING];
            block[0]++;
            free(block);
        }
        atomic_store_explicit(&ring.consumed, end, memory_order_release);
        begin = end;
    }
    return NULL;
}

int main(int argc, char **argv) {
    ring.size = bench_arg(argc, argv, 1, 64, 1, INT32_MAX);
    ring.cycles = bench_arg(argc, argv, 2, 5000000, 1, UINT64_MAX / 4);
    pthread_t consumer;
    double start = bench_now();
    if (pthread_create(&consumer, NULL, consume, NULL) != 0) bench_die("pthread_create failed");
    for (uint64_t begin = 0; begin < ring.cycles;) {
        uint64_t end = lot_end(begin);
        if (end > RING) wait_for(&ring.consumed, end - RING);
        for (uint64_t i = begin; i < end; i++) {
            ring.blocks[i % RING] = bench_block(ring.size);
        }
        atomic_store_explicit(&ring.produced, end, memory_order_release);
        begin = end;
    }
    pthread_join(consumer, NULL);
    bench_report(ring.cycles * 2, bench_now() - start);
    return 0;
}
