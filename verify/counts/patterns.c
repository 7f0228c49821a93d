#include "verify/counts/patterns.h"

#include "bench/ring.h"
#include "core/hakmem.h"
#include "core/policy.h"
#include "verify/clock.h"
#include "verify/counts/tally.h"

enum { IDLE_WORKERS = 2, IDLE_SLEEPERS = 14, IDLE_WAVE_MS = 60, IDLE_TURN = 8 /* waves */ };

static struct {
    const struct pattern *pattern;
    struct worker *workers;
    struct ring *rings; /* one from each worker to each */
    pthread_barrier_t barrier;
    _Atomic uint32_t full;    /* threads that have reached their peak of memory */
    _Atomic uint32_t warm;    /* threads whose warm-up is over */
    _Atomic uint32_t senders; /* all to all: threads that have sent all blocks of the phase */
    _Atomic uint32_t turns;   /* idle: turns that are over */
} run;

/* ---- calls ----------------------------------------------------------------------------------- */

static void *block_new(size_t size) {
    tally_call();
    void *block = hak_malloc(size);
    if (block == NULL) bench_die("hak_malloc failed");
    tally_touch(block, size);
    return block;
}

static void block_free(void *block) {
    tally_call();
    hak_free(block);
    tally_add_blocks(1);
}

static void *block_resize(void *block, size_t size) {
    tally_call();
    block = hak_realloc(block, size);
    if (block == NULL) bench_die("hak_realloc failed");
    tally_add_blocks(1);
    return block;
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static size_t mixed_size(struct worker *worker) {
    return 16 + bench_rng_below(&worker->rng, 1024);
}

static size_t size_64(struct worker *unused) {
    (void)unused;
    return 64;
}
static size_t size_1000(struct worker *unused) {
    (void)unused;
    return 1000;
}

/* ---- warming up ------------------------------------------------------------------------------ */

/* Returns when all threads have called it. */
static void wait_for_all(_Atomic uint32_t *count) {
    atomic_fetch_add_explicit(count, 1, memory_order_release);
    while (atomic_load_explicit(count, memory_order_acquire) < run.pattern->threads)
        sched_yield();
}

/* Returns when all threads are at their peak of memory at the same time. However they are scheduled
 * later, memory does not grow any more; in the pattern `growth`, it grows as it does when it is
 * counted. */
static void all_are_full(void) {
    wait_for_all(&run.full);
}

/* Returns when the warm-up of all threads is over. The malloc and free then read, uncounted, what
 * slower threads have written since this thread's warm-up ended. */
static void all_are_warm(struct worker *worker) {
    wait_for_all(&run.warm);
    block_free(block_new(64));
    worker->is_warm = true;
}

/* All threads have `blocks` blocks at the same time, and free them. */
static void reach_peak(struct worker *worker, uint32_t blocks, size_t (*size)(struct worker *)) {
    void **kept = NULL;
    for (uint32_t i = 0; i < blocks; i++) {
        void **block = block_new(size(worker));
        *block = kept;
        kept = block;
    }
    all_are_full();
    while (kept != NULL) {
        void **next = *kept;
        block_free(kept);
        kept = next;
    }
}

/* ---- threads that keep to themselves --------------------------------------------------------- */

/* One block at a time: nothing but fast paths. */
static void pairs(struct worker *worker, uint32_t rounds) {
    for (uint32_t i = 0; i < rounds; i++)
        block_free(block_new(mixed_size(worker)));
}

/* Random slots, each of which is full half of the time. */
static void mixed_of(struct worker *worker, uint32_t rounds, uint32_t slots,
                     size_t (*size)(struct worker *)) {
    for (uint32_t i = 0; i < 2 * rounds; i++) {
        void **slot = &worker->slots[bench_rng_below(&worker->rng, slots)];
        if (*slot == NULL) {
            *slot = block_new(size(worker));
        } else {
            block_free(*slot);
            *slot = NULL;
        }
    }
}

static void mixed(struct worker *worker, uint32_t rounds) {
    mixed_of(worker, rounds, PATTERN_SLOTS, mixed_size);
}

/* Fills all slots with blocks of one size and empties them; the same with the next size, and so
 * on. */
static void waves_of(struct worker *worker, uint32_t rounds, const size_t *sizes,
                     uint32_t size_count) {
    for (uint32_t i = 0; i < rounds; i += PATTERN_SLOTS) {
        for (uint32_t slot = 0; slot < PATTERN_SLOTS; slot++)
            worker->slots[slot] = block_new(sizes[i / PATTERN_SLOTS % size_count]);
        for (uint32_t slot = 0; slot < PATTERN_SLOTS; slot++) {
            block_free(worker->slots[slot]);
            worker->slots[slot] = NULL;
        }
    }
}

/* Slabs and SuperSlabs are taken and given back. */
static void waves(struct worker *worker, uint32_t rounds) {
    static const size_t sizes[] = {64, 1000, 256, 500};
    if (!worker->is_warm) reach_peak(worker, PATTERN_SLOTS, size_1000);
    waves_of(worker, rounds, sizes, sizeof sizes / sizeof *sizes);
}

/* Each block is kept, so memory grows. The first SuperSlabs are taken in pieces, and whole ones
 * when there are many: only whole ones are counted. */
static void growth(struct worker *worker, uint32_t rounds) {
    for (uint32_t i = 0; i < rounds; i++) {
        if (!worker->is_warm && i == rounds / 2) all_are_full();
        void **block = block_new(1000);
        *block = worker->kept;
        worker->kept = block;
        tally_add_blocks(1);
    }
}

/* Two threads take and give back slabs of one SuperSlab, which takes no lock. The other threads
 * have left blocks in their bins and sleep. The two threads take turns, and the clock moves on with
 * each wave. So each run makes the same looks at the sleeping threads, and every other look follows
 * a look by the other of the two threads. */
static void idle(struct worker *worker, uint32_t rounds) {
    static const size_t size = 64;
    if (worker->number >= IDLE_WORKERS) {
        mixed_of(worker, 200, 256, mixed_size);
        return;
    }
    for (uint32_t i = 0; i < rounds; i += IDLE_TURN * PATTERN_SLOTS) {
        while (atomic_load_explicit(&run.turns, memory_order_acquire) % IDLE_WORKERS !=
               worker->number)
            sched_yield();
        for (int wave = 0; wave < IDLE_TURN; wave++) {
            hak_clock_passes(IDLE_WAVE_MS);
            waves_of(worker, PATTERN_SLOTS, &size, 1);
        }
        atomic_fetch_add_explicit(&run.turns, 1, memory_order_release);
    }
}

/* Blocks that grow by half from 16 bytes to 1 MiB, as buffers do. */
static void grow(struct worker *worker, uint32_t rounds) {
    (void)worker;
    for (uint32_t i = 0; i < rounds;) {
        void *block = block_new(16);
        for (size_t size = 16; size <= (size_t)1 << 20; size += size / 2, i++)
            block = block_resize(block, size);
        block_free(block);
    }
}

static size_t large_size(struct worker *worker) {
    return (64u << 10) + bench_rng_below(&worker->rng, 960u << 10);
}

static void large(struct worker *worker, uint32_t rounds) {
    mixed_of(worker, rounds, 8, large_size);
}

/* ---- threads that end ------------------------------------------------------------------------ */

static void *short_life(void *argument) {
    struct worker *worker = argument;
    tally_thread_begin(worker->number);
    mixed_of(worker, 100, 64, mixed_size);
    for (uint32_t slot = 0; slot < 64; slot++) {
        if (worker->slots[slot] != NULL) block_free(worker->slots[slot]);
        worker->slots[slot] = NULL;
    }
    return NULL;
}

static void lives(struct worker *worker, uint32_t rounds) {
    for (uint32_t i = 0; i < rounds; i += 100) {
        pthread_t thread;
        bench_start_thread(&thread, short_life, worker);
        pthread_join(thread, NULL);
    }
}

/* ---- threads that free each other's blocks --------------------------------------------------- */

static struct ring *ring_between(uint32_t from, uint32_t to) {
    return &run.rings[from * run.pattern->threads + to];
}

static void lot_send(struct worker *worker, struct ring *ring, uint64_t begin, uint64_t end,
                     size_t (*size)(struct worker *)) {
    for (uint64_t i = begin; i < end; i++)
        ring->blocks[i % RING_SLOTS] = block_new(size(worker));
    ring_put_lot(ring, end);
}

static void lot_free(struct ring *ring, uint64_t begin, uint64_t end) {
    for (uint64_t i = begin; i < end; i++)
        block_free(ring->blocks[i % RING_SLOTS]);
    ring_took_lot(ring, end);
}

/* Threads 0, 2, ... allocate the blocks that threads 1, 3, ... free. */
static void one_way(struct worker *worker, uint32_t rounds, size_t (*size)(struct worker *)) {
    bool sends = worker->number % 2 == 0;
    struct ring *ring = ring_between(worker->number & ~1u, worker->number | 1);
    uint64_t begin =
        atomic_load_explicit(sends ? &ring->produced : &ring->consumed, memory_order_relaxed);
    for (uint64_t until = begin + rounds; begin < until;) {
        uint64_t end = ring_lot_end(begin, until);
        if (sends) {
            ring_wait_free(ring, end);
            lot_send(worker, ring, begin, end, size);
        } else {
            ring_wait_filled(ring, end);
            lot_free(ring, begin, end);
        }
        begin = end;
    }
}

static void one_way_64(struct worker *worker, uint32_t rounds) {
    one_way(worker, rounds, size_64);
}
static void one_way_1000(struct worker *worker, uint32_t rounds) {
    one_way(worker, rounds, size_1000);
}

static void free_arrived(uint32_t number) {
    for (uint32_t from = 0; from < run.pattern->threads; from++) {
        struct ring *ring = ring_between(from, number);
        uint64_t end = atomic_load_explicit(&ring->produced, memory_order_acquire);
        uint64_t begin = atomic_load_explicit(&ring->consumed, memory_order_relaxed);
        if (begin != end) lot_free(ring, begin, end);
    }
}

/* Frees arriving blocks until the ring has space up to `end`: otherwise two threads with full rings
 * would wait for each other for ever. */
static void free_until_room(uint32_t number, const struct ring *ring, uint64_t end) {
    for (;;) {
        free_arrived(number);
        if (end - atomic_load_explicit(&ring->consumed, memory_order_acquire) <= RING_SLOTS) return;
        sched_yield();
    }
}

/* Each lot of blocks goes to a thread drawn at random. */
static void all_to_all(struct worker *worker, uint32_t rounds, size_t (*size)(struct worker *)) {
    const uint32_t threads = run.pattern->threads, self = worker->number;
    const uint32_t most = (threads - 1) * RING_SLOTS;
    if (!worker->is_warm) reach_peak(worker, rounds < most ? rounds : most, size);
    for (uint64_t done = 0; done < rounds;) {
        struct ring *ring =
            ring_between(self, (self + 1 + bench_rng_below(&worker->rng, threads - 1)) % threads);
        uint64_t begin = atomic_load_explicit(&ring->produced, memory_order_relaxed);
        uint64_t end = begin + (ring_lot_end(done, rounds) - done);
        free_until_room(self, ring, end);
        lot_send(worker, ring, begin, end, size);
        done += end - begin;
    }
    /* No thread returns before all threads have sent their blocks. */
    uint32_t sent = atomic_fetch_add_explicit(&run.senders, 1, memory_order_acq_rel);
    uint32_t all = (sent / threads + 1) * threads;
    while (atomic_load_explicit(&run.senders, memory_order_acquire) < all) {
        free_arrived(self);
        sched_yield();
    }
    free_arrived(self);
}

static void all_to_all_64(struct worker *worker, uint32_t rounds) {
    all_to_all(worker, rounds, size_64);
}
static void all_to_all_mixed(struct worker *worker, uint32_t rounds) {
    all_to_all(worker, rounds, mixed_size);
}

/* ---- patterns -------------------------------------------------------------------------------- */

/* The budget of a block that another thread frees: 1/16, in thousandths. */
#define SIXTEENTH 62.5

#define NEVER 3600000u

#define ROW(name_, text_, threads_, rounds_, work_, ...)                                           \
    {                                                                                              \
        .name = (name_), .text = (text_), .threads = (threads_), .rounds = (rounds_),              \
        .purge_delay_ms = NEVER, .work = (work_), .budget = {                                      \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

const struct pattern patterns[] = {
    ROW("local-pairs", "malloc and free in turns, 16-1039 bytes", 4, 100000, pairs, 0, 0, 0, 0),
    ROW("local-mixed", "8192 random slots, 16-1039 bytes", 4, 200000, mixed, 0.01, 0.01, 0.01,
        0.01),
    ROW("local-slabs", "8192 blocks of one size, then of another", 4, 262144, waves, 0.5, 0.25, 1.5,
        0.5),
    ROW("local-growth", "blocks of 1000 bytes that are kept", 4, 32768, growth, 5, 2, 8, 4),
    {.name = "idle",
     .text = "8192 blocks of one size on 2 threads, 14 sleep; by looks at their heaps",
     .threads = IDLE_WORKERS + IDLE_SLEEPERS,
     .sleepers = IDLE_SLEEPERS,
     .rounds = 1048576,
     .purge_delay_ms = 100,
     .work = idle,
     .budget = {1150, 490, 4300, 3800}},
    ROW("one-way-64", "one thread allocates, another frees", 2, 500000, one_way_64, 8, 0.1, 8, 8),
    ROW("one-way-1000", "the same", 2, 200000, one_way_1000, SIXTEENTH, 0.1, SIXTEENTH, SIXTEENTH),
    ROW("all-to-all-4", "lots of 64 blocks of 64 bytes, to threads drawn at random", 4, 200000,
        all_to_all_64, 12, 0.1, 12, 12),
    ROW("all-to-all-16", "the same", 16, 50000, all_to_all_64, 40, 0.1, 40, 50),
    ROW("all-to-all-62", "the same", 62, 16384, all_to_all_64, 200, 0.5, 200, 250),
    ROW("all-to-all-4-mixed", "the same, 16-1039 bytes", 4, 200000, all_to_all_mixed, 80, 0.1, 80,
        80),
    ROW("all-to-all-16-mixed", "the same", 16, 50000, all_to_all_mixed, 250, 0.2, 300, 400),
    ROW("all-to-all-62-mixed", "the same", 62, 16384, all_to_all_mixed, 1000, 0.5, 1000, 1200),
    ROW("realloc", "blocks that grow by halves from 16 bytes to a MiB", 4, 20000, grow, 4000, 1000,
        4500, 3000),
    ROW("large", "8 random slots, 64 KiB to a MiB", 4, 10000, large, 11100, 2100, 40000, 30000),
    ROW("short-threads", "threads that live for about 100 blocks", 4, 20000, lives, 250, 125, 600,
        400),
};
const size_t pattern_count = sizeof patterns / sizeof patterns[0];

/* ---- a run ----------------------------------------------------------------------------------- */

static void *work(void *argument) {
    struct worker *worker = argument;
    tally_thread_begin(worker->number);
    run.pattern->work(worker, run.pattern->rounds);
    all_are_warm(worker);
    pthread_barrier_wait(&run.barrier); /* all threads are warm */
    pthread_barrier_wait(&run.barrier); /* counting is on */
    run.pattern->work(worker, run.pattern->rounds);
    pthread_barrier_wait(&run.barrier);
    pthread_barrier_wait(&run.barrier); /* counting is off */
    return NULL;
}

static void policy_set(uint32_t purge_delay_ms) {
    static struct hak_policy policy;
    policy = *hak_policy();
    policy.purge_delay_ms = purge_delay_ms;
    hak_policy_replace(&policy);
}

void pattern_run(const struct pattern *pattern) {
    run.pattern = pattern;
    run.workers = bench_table(pattern->threads, sizeof *run.workers);
    run.rings = bench_table((size_t)pattern->threads * pattern->threads, sizeof *run.rings);
    pthread_barrier_init(&run.barrier, NULL, pattern->threads + 1);
    policy_set(pattern->purge_delay_ms);
    for (uint32_t i = 0; i < pattern->threads; i++) {
        struct worker *worker = &run.workers[i];
        worker->number = i;
        worker->rng = bench_rng_start(i + 1);
        bench_start_thread(&worker->thread, work, worker);
    }
    for (int phase = 0; phase < 2; phase++) {
        pthread_barrier_wait(&run.barrier);
        tally_set(phase == 0);
        pthread_barrier_wait(&run.barrier);
    }
    for (uint32_t i = 0; i < pattern->threads; i++)
        pthread_join(run.workers[i].thread, NULL);
}
