/* bench_scale heap|blocks|threads [amount] [rounds] [seed]
 *
 * The cost of malloc and free for one thread of a process that holds much memory or has had many
 * threads. With `heap`, `amount` MiB of mixed blocks are live; with `blocks`, `amount` small blocks
 * are live; with `threads`, `amount` threads have lived before. The timed rounds do the same work
 * at every amount: a small hot set, then bursts of small, pool and large blocks, so that slabs,
 * SuperSlabs and spans are taken and given back. An operation is a malloc or a free. */
#include "bench/bench.h"

enum {
    KIB = 1 << 10,
    MIB = 1 << 20,
    HEAP_HOLE = 128 * KIB, /* bytes freed after every second MiB: a slab, and parts of two more */
    BLOCKS_HOLES = 64,
    BLOCKS_HOLE = 128, /* blocks in a hole */
    BLOCKS_LEAST = 16,
    BLOCKS_SIZES = 49,
    AT_ONCE = 256, /* threads that live at once, each with a heap */
    THREAD_BLOCKS = 64,
    THREADS_LEAVING = 256, /* about how many threads leave live blocks */
    BLOCKS_LEFT = 16,      /* how many blocks each of them leaves */
    STACK = 128 * KIB,     /* so small that libc keeps all of the stacks for the next threads */
    HOT_CYCLES = 50000,
    HOT_SLOTS = 1024,
    HOT_LEAST = 16,
    HOT_MOST = 1039,
    BURST_BLOCKS_MAX = 2 * MIB / 64
};

/* The untimed rounds take at least this long, so that the allocator can give back memory of the
 * holes before the timing begins. */
static const double settling_seconds = 0.7;

/* ---- what is held ---------------------------------------------------------------------------- */

static char *block_held(size_t size) {
    char *block = (char *)malloc(size);
    if (block == NULL) bench_die("malloc failed");
    block[0] = 1; /* touches one page: more would only become resident */
    return block;
}

/* Blocks that are freed when all others have been allocated, so that there are gaps everywhere. */
struct holes {
    char **blocks;
    size_t count;
};

static struct holes holes_begin(uint64_t most) {
    return (struct holes){.blocks = (char **)bench_table(most, sizeof(char *))};
}

static void holes_make(struct holes *holes) {
    while (holes->count > 0) {
        free(holes->blocks[--holes->count]);
    }
}

/* Of all bytes, 1/16 is in small blocks, 5/16 in middle ones and the rest in pool blocks: less than
 * half of 10 GiB is resident. */
static uint32_t heap_size(struct bench_rng *rng) {
    uint32_t kind = bench_rng_below(rng, 16);
    if (kind < 1) return 16 + bench_rng_below(rng, KIB);
    if (kind < 6) return 4 * KIB + bench_rng_below(rng, 3 * KIB);
    return 12 * KIB + bench_rng_below(rng, 36 * KIB);
}

static void hold_heap(uint64_t mib, struct bench_rng *rng) {
    struct holes holes = holes_begin((mib / 2 + 1) * (HEAP_HOLE / 16 + 1));
    for (uint64_t i = 0; i < mib; i++) {
        uint32_t size = heap_size(rng);
        for (uint32_t held = 0; held < MIB; held += size) {
            block_held(size);
        }
        for (uint32_t hole = 0; i % 2 == 1 && hole < HEAP_HOLE; hole += size) {
            holes.blocks[holes.count++] = block_held(size);
        }
    }
    holes_make(&holes);
}

/* The number of free blocks is the same at every amount: with more of them caches would miss more
 * often. */
static void hold_blocks(uint64_t amount, struct bench_rng *rng) {
    struct holes holes = holes_begin(BLOCKS_HOLES * BLOCKS_HOLE);
    for (uint64_t part = 0; part < BLOCKS_HOLES; part++) {
        uint64_t from = amount * part / BLOCKS_HOLES, to = amount * (part + 1) / BLOCKS_HOLES;
        for (uint64_t i = from; i < to; i++) {
            block_held(BLOCKS_LEAST + bench_rng_below(rng, BLOCKS_SIZES));
        }
        for (uint32_t hole = 0; hole < BLOCKS_HOLE; hole++) {
            holes.blocks[holes.count++] =
                block_held(BLOCKS_LEAST + bench_rng_below(rng, BLOCKS_SIZES));
        }
    }
    holes_make(&holes);
}

struct worker {
    pthread_t thread;
    struct bench_rng rng;
    uint32_t leaves; /* blocks that it leaves behind */
};

static pthread_barrier_t all_have_blocks;

static void *live_a_bit(void *argument) {
    struct worker *worker = (struct worker *)argument;
    char *blocks[THREAD_BLOCKS];
    for (uint32_t i = 0; i < THREAD_BLOCKS; i++) {
        blocks[i] =
            bench_block(HOT_LEAST + bench_rng_below(&worker->rng, HOT_MOST - HOT_LEAST + 1));
    }
    pthread_barrier_wait(&all_have_blocks);
    for (uint32_t i = worker->leaves; i < THREAD_BLOCKS; i++) {
        free(blocks[i]);
    }
    return NULL;
}

static void live_before(uint64_t threads, struct bench_rng *rng) {
    static struct worker workers[AT_ONCE];
    uint64_t every = threads / THREADS_LEAVING + 1;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, STACK);
    if (pthread_setattr_default_np(&small) != 0) bench_die("no thread has so small a stack");
    for (uint64_t begun = 0, now; begun < threads; begun += now) {
        now = threads - begun < AT_ONCE ? threads - begun : AT_ONCE;
        pthread_barrier_init(&all_have_blocks, NULL, (unsigned)now);
        for (uint64_t i = 0; i < now; i++) {
            workers[i].rng = bench_rng_start(bench_rng_next(rng));
            workers[i].leaves = (begun + i) % every == 0 ? BLOCKS_LEFT : 0;
            bench_start_thread(&workers[i].thread, live_a_bit, &workers[i]);
        }
        for (uint64_t i = 0; i < now; i++) {
            pthread_join(workers[i].thread, NULL);
        }
        pthread_barrier_destroy(&all_have_blocks);
    }
}

static void prepare(const char *what, uint64_t amount, struct bench_rng *rng) {
    if (strcmp(what, "heap") == 0)
        hold_heap(amount, rng);
    else if (strcmp(what, "blocks") == 0)
        hold_blocks(amount, rng);
    else if (strcmp(what, "threads") == 0)
        live_before(amount, rng);
    else
        bench_die("bench_scale heap|blocks|threads [amount] [rounds] [seed]");
}

/* ---- what is timed --------------------------------------------------------------------------- */

struct burst {
    uint32_t least;
    uint32_t sizes;
    size_t bytes;
};

/* Each burst of small blocks fills a SuperSlab. The burst of pool blocks is larger than HAKMEM's
 * cache of SuperSlabs, and the burst of large blocks is larger than its BigCache. */
static const struct burst bursts[] = {{64, 1, 2 * MIB},
                                      {300, 1, 2 * MIB},
                                      {1000, 1, 2 * MIB},
                                      {3000, 1, 2 * MIB},
                                      {6000, 1, 2 * MIB},
                                      {24 * KIB, 24 * KIB, 80 * MIB},
                                      {64 * KIB, 960 * KIB, 160 * MIB}};
enum { BURSTS = sizeof bursts / sizeof bursts[0] };

static uint64_t burst_run(struct burst burst, char **table, struct bench_rng *rng) {
    uint32_t count = 0;
    for (size_t bytes = 0; bytes < burst.bytes && count < BURST_BLOCKS_MAX; count++) {
        size_t size = burst.least + bench_rng_below(rng, burst.sizes);
        table[count] = bench_block(size);
        bytes += size;
    }
    for (uint32_t i = 0; i < count; i++) {
        free(table[i]);
    }
    return 2 * (uint64_t)count;
}

/* Runs one round; returns the number of its mallocs and frees. Rounds with the same seed are the
 * same. */
static uint64_t round_run(uint64_t seed, char **hot, char **table) {
    struct bench_mixed mixed = {HOT_CYCLES, HOT_SLOTS, HOT_LEAST, HOT_MOST, bench_rng_start(seed)};
    struct bench_rng rng = bench_rng_start(seed + 1);
    uint64_t operations = mixed.cycles;
    bench_mixed_run(mixed, hot);
    for (uint32_t i = 0; i < BURSTS; i++) {
        operations += burst_run(bursts[i], table, &rng);
    }
    return operations;
}

int main(int argc, char **argv) {
    uint64_t amount = bench_arg(argc, argv, 2, 100, 1, UINT32_MAX);
    uint64_t rounds = bench_arg(argc, argv, 3, 100, 1, UINT32_MAX);
    uint64_t seed = bench_arg(argc, argv, 4, 42, 0, UINT32_MAX);
    struct bench_rng rng = bench_rng_start(seed);
    char **hot = (char **)bench_table(HOT_SLOTS, sizeof *hot);
    char **table = (char **)bench_table(BURST_BLOCKS_MAX, sizeof *table);
    prepare(argc > 1 ? argv[1] : "", amount, &rng);
    double start = bench_now();
    do {
        round_run(seed, hot, table);
    } while (bench_now() - start < settling_seconds);
    bench_note_peak();
    uint64_t operations = 0;
    start = bench_now();
    for (uint64_t round = 0; round < rounds; round++) {
        operations += round_run(seed + round, hot, table);
    }
    bench_report(operations, bench_now() - start);
    return 0;
}
