/* bench_prodcons [size] [cycles] [threads]
 *
 * One thread allocates and another frees: every block is freed by a thread that does not own its
 * slab. The blocks go through a ring of fixed length. More than two threads form a pipeline: each
 * thread between the first and the last takes a block, frees it, and passes on a block of its own
 * instead. A cycle is one block of each thread but the last, two operations each. */
#include "bench/ring.h"

enum { THREADS_MAX = 64 };

struct stage {
    pthread_t thread;
    struct ring *in;
    struct ring *out;
};

static size_t size;
static uint64_t cycles;

static void produce(struct ring *out) {
    for (uint64_t begin = 0; begin < cycles;) {
        uint64_t end = ring_lot_end(begin, cycles);
        ring_wait_free(out, end);
        for (uint64_t i = begin; i < end; i++) {
            out->blocks[i % RING_SLOTS] = bench_block(size);
        }
        ring_put_lot(out, end);
        begin = end;
    }
}

static void *consume(void *argument) {
    struct ring *in = ((struct stage *)argument)->in;
    for (uint64_t begin = 0; begin < cycles;) {
        uint64_t end = ring_lot_end(begin, cycles);
        ring_wait_filled(in, end);
        for (uint64_t i = begin; i < end; i++) {
            char *block = in->blocks[i % RING_SLOTS];
            block[0]++;
            free(block);
        }
        ring_took_lot(in, end);
        begin = end;
    }
    return NULL;
}

static void *pass_on(void *argument) {
    struct ring *in = ((struct stage *)argument)->in, *out = ((struct stage *)argument)->out;
    for (uint64_t begin = 0; begin < cycles;) {
        uint64_t end = ring_lot_end(begin, cycles);
        ring_wait_filled(in, end);
        ring_wait_free(out, end);
        for (uint64_t i = begin; i < end; i++) {
            char *block = in->blocks[i % RING_SLOTS], *own = bench_block(size);
            own[0] = (char)(block[0] + 1);
            free(block);
            out->blocks[i % RING_SLOTS] = own;
        }
        ring_took_lot(in, end);
        ring_put_lot(out, end);
        begin = end;
    }
    return NULL;
}

int main(int argc, char **argv) {
    size = bench_arg(argc, argv, 1, 64, 1, INT32_MAX);
    cycles = bench_arg(argc, argv, 2, 5000000, 1, UINT64_MAX / (2 * THREADS_MAX));
    size_t threads = bench_arg(argc, argv, 3, 2, 2, THREADS_MAX);
    struct ring *rings = (struct ring *)bench_table(threads - 1, sizeof *rings);
    struct stage *stages = (struct stage *)bench_table(threads, sizeof *stages);
    double start = bench_now();
    for (size_t i = 1; i < threads; i++) {
        bool last = i == threads - 1;
        stages[i].in = &rings[i - 1];
        stages[i].out = last ? NULL : &rings[i];
        bench_start_thread(&stages[i].thread, last ? consume : pass_on, &stages[i]);
    }
    produce(&rings[0]);
    for (size_t i = 1; i < threads; i++) {
        pthread_join(stages[i].thread, NULL);
    }
    bench_report(cycles * 2 * (threads - 1), bench_now() - start);
    return 0;
}
