/* What every seeded bug is run against: all tiers, all ways to free, threads, failures of the system, fork. Each phase
 * proves contents, alignment, zeroes and usable sizes as it goes, and the whole heap at its end, when no block may be
 * left over. Equal seeds give equal runs, but for the phase `mixed`, in which threads race.
 *
 * HAK_SEEDED_PROOFS=0: without the proofs of the whole heap, so that an audit has to find by itself what is broken.
 *
 * It counts its operations. Whatever ends it, a failed proof, a crash or the alarm, prints "ops N" first, and the
 * program dies of the signal.
 *
 * usage: seeded_driver_internal [seed [phase...]] */
#define TEST_LINKED
#include "verify/tests/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "core/bigcache.h"
#include "core/heap.h"
#include "verify/heap_check.h"
#include "verify/os_faults.h"

#define SLOTS         384
#define ALARM_SECONDS 40
#define CHILD_SECONDS 4

static _Atomic uint64_t operations;
static const char *phase_name = "begin";
static uint64_t seed = 1;
static bool sanitized; /* the sanitizer holds memory of its own, and dislikes forks */

static void count_operation(void) {
    atomic_fetch_add_explicit(&operations, 1, memory_order_relaxed);
}

/* ---- ends -------------------------------------------------------------------------------------------- */

static void die_of(int number) {
    static _Atomic bool said;
    char text[32], *at = text + sizeof text;
    if (!atomic_exchange(&said, true)) {
        uint64_t count = atomic_load_explicit(&operations, memory_order_relaxed);
        *--at = '\n';
        do
            *--at = (char)('0' + count % 10);
        while ((count /= 10) != 0);
        at -= 4;
        memcpy(at, "ops ", 4);
        ssize_t done = write(STDERR_FILENO, at, (size_t)(text + sizeof text - at));
        (void)done;
    }
    signal(number, SIG_DFL);
    raise(number);
}

static void catch_ends(void) {
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM};
    static char stack[64 << 10];
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&other, NULL);
    for (size_t i = 0; i < TEST_COUNT(numbers); i++) {
        struct sigaction action = {.sa_handler = die_of, .sa_flags = SA_ONSTACK | SA_NODEFER};
        sigaction(numbers[i], &action, NULL);
    }
    alarm(ALARM_SECONDS);
}

#define EXPECT(cond, ...) ((cond) ? (void)0 : expectation_fails(__LINE__, #cond, __VA_ARGS__))

__attribute__((noreturn, format(printf, 3, 4))) static void expectation_fails(int line, const char *condition,
                                                                              const char *format, ...) {
    char text[256];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    dprintf(STDERR_FILENO, "seeded driver: %s: line %d: %s fails: %s\n", phase_name, line, condition, text);
    abort();
}

/* ---- blocks that prove themselves -------------------------------------------------------------------- */

struct slot {
    unsigned char *block;
    size_t size; /* asked for */
    size_t room; /* usable, and used */
    unsigned char fill;
};

static unsigned char fill_next(void) {
    static _Atomic unsigned next;
    return (unsigned char)(atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % 251 + 1);
}

static void slot_verify_bytes(const struct slot *slot, size_t bytes) {
    size_t step = bytes > 2048 ? 61 : 1;
    for (size_t i = 0; i < bytes; i += step)
        EXPECT(slot->block[i] == slot->fill, "byte %zu of %zu (%p) is %#x, not %#x", i, slot->size,
               (void *)slot->block, slot->block[i], slot->fill);
    for (size_t i = bytes > 64 ? bytes - 64 : 0; i < bytes; i++)
        EXPECT(slot->block[i] == slot->fill, "byte %zu of %zu (%p) is %#x, not %#x", i, slot->size,
               (void *)slot->block, slot->block[i], slot->fill);
}

static void slot_own(struct slot *slot, void *block, size_t size, size_t align) {
    EXPECT(block != NULL, "%zu bytes refused", size);
    EXPECT((uintptr_t)block % align == 0, "%p for alignment %zu", block, align);
    size_t room = hak_malloc_usable_size(block);
    EXPECT(room >= size, "%zu usable bytes of %zu", room, size);
    *slot = (struct slot){.block = block, .size = size, .room = room, .fill = fill_next()};
    memset(block, slot->fill, room);
}

static void slot_take(struct slot *slot, size_t size) {
    count_operation();
    slot_own(slot, hak_malloc(size), size, 16);
}

static void slot_take_aligned(struct slot *slot, size_t align, size_t size) {
    count_operation();
    slot_own(slot, hak_aligned_alloc(align, size), size, align);
}

static void slot_take_zeroed(struct slot *slot, size_t size) {
    count_operation();
    unsigned char *block = hak_calloc(1, size);
    EXPECT(block != NULL, "%zu bytes refused", size);
    size_t step = size > 4096 ? 13 : 1;
    for (size_t i = 0; i < size; i += step)
        EXPECT(block[i] == 0, "calloc: byte %zu of %zu is %#x", i, size, block[i]);
    slot_own(slot, block, size, 16);
}

static void slot_give(struct slot *slot) {
    if (slot->block == NULL) return;
    count_operation();
    slot_verify_bytes(slot, slot->room);
    hak_free(slot->block);
    slot->block = NULL;
}

static void slot_resize(struct slot *slot, size_t size) {
    count_operation();
    slot_verify_bytes(slot, slot->room);
    struct slot moved = *slot;
    moved.block = hak_realloc(slot->block, size);
    EXPECT(moved.block != NULL, "realloc of %zu to %zu bytes refused", slot->size, size);
    slot_verify_bytes(&moved, slot->size < size ? slot->size : size);
    slot_own(slot, moved.block, size, 16);
}

/* Sizes of all tiers; often at the edges of classes. */
static size_t any_size(uint64_t *random, size_t most) {
    size_t size;
    switch (test_random_below(random, 8)) {
    case 0:
        size = (size_t)1 << test_random_below(random, 17);
        break;
    case 1:
        size = 16 * (1 + test_random_below(random, 600)) - test_random_below(random, 2);
        break;
    case 2:
        size = 1 + test_random_below(random, 53000);
        break;
    case 3:
        size = 53200 + test_random_below(random, 400000);
        break;
    case 4:
        size = 1 + test_random_below(random, 8000);
        break;
    default:
        size = 1 + test_random_below(random, 700);
    }
    return size <= most ? size : 1 + size % most;
}

/* ---- proofs ------------------------------------------------------------------------------------------ */

static struct hak_heap_check baseline;
static bool proofs = true;

static void prove_running(void) {
    struct hak_heap_check check;
    if (!proofs) return;
    EXPECT(hak_check_heap(&check), "%zu equations do not hold", check.faults);
}

/* At a phase's end: nothing is left of it, in particular no remote block that nobody will collect. */
static void prove_empty(void) {
    struct hak_heap_check check;
    prove_running();
    hak_malloc_trim(0);
    if (!proofs) return;
    EXPECT(hak_check_heap(&check), "%zu equations do not hold after a trim", check.faults);
    EXPECT(check.live == baseline.live, "%zu live blocks, %zu at first", check.live, baseline.live);
    EXPECT(check.large == baseline.large, "%zu large blocks, %zu at first", check.large, baseline.large);
    EXPECT(check.in_remote_lists == 0, "%zu blocks in remote lists", check.in_remote_lists);
    EXPECT(check.slabs <= baseline.slabs + 2, "%zu slabs, %zu at first", check.slabs, baseline.slabs);
    EXPECT(hak_bigcache_bytes() == 0, "%zu bytes in the BigCache", hak_bigcache_bytes());
}

static size_t resident_mb(void) {
    long pages = 0, all = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) return 0;
    if (fscanf(file, "%ld %ld", &all, &pages) != 2) pages = 0;
    fclose(file);
    return ((size_t)pages * (size_t)sysconf(_SC_PAGESIZE)) >> 20;
}

static bool memory_is_ours(void) {
    return !sanitized &&
           !HAK_AUDIT; /* neither a sanitizer's shadow nor the audit's books are in the figure */
}

/* ---- one thread -------------------------------------------------------------------------------------- */

static void phase_single(void) {
    static struct slot slots[SLOTS];
    uint64_t random = seed;
    for (int round = 0; round < 24000; round++) {
        struct slot *slot = &slots[test_random_below(&random, SLOTS)];
        size_t size = any_size(&random, SIZE_MAX);
        switch (test_random_below(&random, 8)) {
        case 0:
            slot_give(slot);
            slot_take_zeroed(slot, size);
            break;
        case 1:
            slot_give(slot);
            slot_take_aligned(slot, (size_t)16 << test_random_below(&random, 13), size);
            break;
        case 2:
            if (slot->block != NULL) slot_resize(slot, size);
            break;
        default:
            if (slot->block == NULL)
                slot_take(slot, size);
            else
                slot_give(slot);
        }
        if (round % 4000 == 100) prove_running();
    }
    for (size_t i = 0; i < SLOTS; i++)
        slot_give(&slots[i]);
}

#define BATCH_MOST 12000
static struct slot batch[BATCH_MOST];

static size_t batch_count(unsigned bin, size_t bytes) {
    size_t count = bytes / hak_classes[bin].stride;
    return count > BATCH_MOST ? BATCH_MOST : count;
}

/* Several slabs of one class filled and emptied, in several orders. */
static void phase_batch(void) {
    uint64_t random = seed;
    for (unsigned bin = 0; bin < HAK_BINS; bin++) {
        size_t size = hak_classes[bin].stride - 1;
        size_t count = batch_count(bin, hak_tier_of_bin(bin) == HAK_TIER_POOL ? 1200 << 10 : 200 << 10);
        for (int order = 0; order < 3; order++) {
            for (size_t i = 0; i < count; i++)
                slot_take(&batch[i], size);
            for (size_t i = 0; i < count; i++) {
                size_t other = test_random_below(&random, count);
                if (order == 0) slot_give(&batch[i]);
                if (order == 1) slot_give(&batch[count - 1 - i]);
                if (order == 2) slot_give(&batch[other]);
                if (order == 2 && i % 3 == 0 && batch[other].block == NULL) slot_take(&batch[other], size);
            }
            for (size_t i = 0; i < count; i++)
                slot_give(&batch[i]);
            if (bin % 4 == 0) prove_running();
        }
    }
}

/* Memory of one class is used again by others. */
static void phase_recycle(void) {
    static const unsigned bins[] = {4, 9, 40, 1, 15, 33, 20, 12, 42, 17, 2, 31, 47, 0};
    for (size_t round = 0; round < 2 * TEST_COUNT(bins); round++) {
        unsigned bin = bins[round % TEST_COUNT(bins)];
        size_t count = batch_count(bin, 5 << 20);
        for (size_t i = 0; i < count; i++)
            slot_take(&batch[i], hak_classes[bin].stride - 1);
        for (size_t i = 0; i < count; i++)
            slot_give(&batch[i]);
        if (round % 5 == 4) prove_running();
        if (round % 5 == 1) hak_malloc_trim(0);
    }
}

static void phase_zero(void) {
    struct slot slot;
    for (size_t size = 1; size < 6000000; size = size * 9 / 8 + 1)
        for (int round = 0; round < 3; round++) {
            slot_take(&slot, size);
            slot_give(&slot);
            slot_take_zeroed(&slot, size);
            slot_give(&slot);
        }
}

static void phase_resize(void) {
    uint64_t random = seed;
    struct slot slot, other;
    slot_take(&slot, 1);
    for (size_t size = 1; size < 24000000; size = size * 5 / 4 + 1)
        slot_resize(&slot, size);
    for (size_t size = 24000000; size > 1; size = size * 3 / 4)
        slot_resize(&slot, size);
    slot_give(&slot);
    for (int round = 0; round < 40; round++) { /* blocks in the way: pages are moved */
        slot_take_aligned(&slot, (size_t)16 << test_random_below(&random, 13), 200000);
        slot_take(&other, 300000);
        slot_resize(&slot, 700000 + test_random_below(&random, 2000000));
        slot_resize(&other, 100000);
        slot_give(&slot);
        slot_give(&other);
    }
    for (int round = 0; round < 3000; round++) {
        slot_take(&slot, any_size(&random, 100000));
        slot_resize(&slot, any_size(&random, 100000));
        slot_give(&slot);
    }
}

static void phase_bigcache(void) {
    struct slot slots[40] = {{0}};
    uint64_t random = seed;
    for (int round = 0; round < 3000; round++) {
        struct slot *slot = &slots[test_random_below(&random, TEST_COUNT(slots))];
        if (slot->block != NULL)
            slot_give(slot);
        else
            slot_take(slot, 60000 + 65536 * test_random_below(&random, round % 16 == 0 ? 40 : 8));
        if (round % 500 == 0) prove_running();
    }
    for (size_t i = 0; i < TEST_COUNT(slots); i++)
        slot_give(&slots[i]);
    prove_running();
    EXPECT(hak_bigcache_bytes() > 0, "freed large blocks were not kept");
    hak_mallopt(M_TRIM_THRESHOLD, 4 << 20);
    for (size_t i = 0; i < TEST_COUNT(slots); i++)
        slot_take(&slots[i], 900000);
    for (size_t i = 0; i < TEST_COUNT(slots); i++)
        slot_give(&slots[i]);
    EXPECT(hak_bigcache_bytes() <= 4 << 20, "%zu bytes are kept of at most 4 MiB", hak_bigcache_bytes());
    hak_mallopt(M_TRIM_THRESHOLD, 128 << 20);
}

/* Caps an eighth of what they were; each bin is full when they come into force. */
static const struct hak_policy *lower_policy(void) {
    static struct hak_policy lower;
    lower = *hak_policy();
    for (unsigned bin = 0; bin < HAK_BINS; bin++) {
        struct hak_bin_policy *bounds = &lower.bins[bin];
        bounds->cap_max = bounds->cap_max < 16 ? 2 : bounds->cap_max / 8;
        if (bounds->cap_min > bounds->cap_max) bounds->cap_min = bounds->cap_max;
        if (bounds->batch_max > bounds->cap_max) bounds->batch_max = bounds->cap_max;
        if (bounds->batch_min > bounds->batch_max) bounds->batch_min = bounds->batch_max;
    }
    return &lower;
}

#define POLICY_BLOCKS 8000
static void fill_bins(void) {
    static void *blocks[POLICY_BLOCKS];
    static const size_t sizes[] = {40, 200, 1000, 3000, 9000};
    for (size_t kind = 0; kind < TEST_COUNT(sizes); kind++) {
        size_t count = POLICY_BLOCKS / (1 + sizes[kind] / 100);
        for (size_t i = 0; i < count; i++) {
            count_operation();
            blocks[i] = hak_malloc(sizes[kind]);
        }
        for (size_t i = 0; i < count; i++) {
            count_operation();
            hak_free(blocks[i]);
        }
    }
}

static void phase_policy(void) {
    const struct hak_policy *before = hak_policy();
    fill_bins();
    hak_policy_replace(lower_policy());
    fill_bins();
    for (unsigned bin = 0; bin < HAK_BINS; bin++)
        EXPECT(hak_bin_count(hak_thread_heap(), bin) <= before->bins[bin].cap_max,
               "a bin of class %u holds %u blocks", bin, hak_bin_count(hak_thread_heap(), bin));
    prove_running();
    hak_policy_replace(before);
    fill_bins();
}

#define TRIM_BLOCKS 48000
static void phase_trim(void) {
    static void *blocks[TRIM_BLOCKS];
    size_t before = resident_mb();
    for (size_t i = 0; i < TRIM_BLOCKS; i++) {
        count_operation();
        blocks[i] = hak_malloc(1000);
        EXPECT(blocks[i] != NULL, "1000 bytes refused");
        memset(blocks[i], 7, 1000);
    }
    size_t full = resident_mb();
    struct slot kept[20];
    for (size_t i = 0; i < TEST_COUNT(kept); i++)
        slot_take(&kept[i], 700);
    for (size_t i = 0; i < TRIM_BLOCKS; i++)
        hak_free(blocks[i]);
    hak_malloc_trim(0);
    size_t after = resident_mb();
    for (size_t i = 0; i < TEST_COUNT(kept); i++)
        slot_give(&kept[i]);
    if (memory_is_ours())
        EXPECT(full - after > (full - before) / 2, "%zu MiB, then %zu, after a trim %zu", before, full,
               after);
}

/* Requests that no machine can serve. */
static void phase_impossible(void) {
    size_t half = test_opaque(SIZE_MAX / 2 + 2);
    void *block = hak_malloc(100);
    EXPECT(hak_malloc(test_opaque(SIZE_MAX)) == NULL, "malloc of everything");
    EXPECT(hak_malloc(test_opaque(SIZE_MAX - 15)) == NULL, "malloc of nearly everything");
    EXPECT(hak_calloc(half, 2) == NULL, "calloc of a product that overflows");
    EXPECT(hak_reallocarray(block, half, 2) == NULL, "reallocarray of a product that overflows");
    EXPECT(hak_aligned_alloc(64, test_opaque(SIZE_MAX - 30)) == NULL, "aligned_alloc of nearly everything");
    EXPECT(hak_pvalloc(test_opaque(SIZE_MAX - 30)) == NULL, "pvalloc of nearly everything");
    hak_free(block);
}

/* ---- threads in step --------------------------------------------------------------------------------- */

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
    return batch_count(remote_bins[round % TEST_COUNT(remote_bins)], round % 2 == 0 ? 400 << 10 : 1500 << 10);
}

/* Thread 0 allocates, thread 1 frees; while both wait, the heap is proved. */
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
/* Four threads, each frees what its neighbour allocated, and allocates anew. */
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

/* Runs after the thread's heap is gone. */
static void late(void *value) {
    struct slot slot;
    hak_free(value);
    for (size_t size = 20; size < 200000; size *= 7) {
        slot_take(&slot, size);
        slot_give(&slot);
    }
    for (size_t i = 0; i < 40; i++)
        hak_free(hak_malloc(100));
}

#define LEFT 1500
/* Leaves its blocks behind, and one to be freed after its end. */
static void *leaver_body(void *number) {
    struct slot *mine = &batch[(size_t)(uintptr_t)number * SHARE];
    uint64_t random = seed + (uintptr_t)number;
    for (size_t i = 0; i < LEFT; i++)
        slot_take(&mine[i], any_size(&random, i % 64 == 0 ? 200000 : 900));
    for (size_t i = 0; i < LEFT; i += 3)
        slot_give(&mine[i]);
    EXPECT(pthread_setspecific(late_key, hak_malloc(60)) == 0, "setspecific");
    step_wait();
    return NULL;
}

static void phase_exits(void) {
    struct slot own[4000];
    EXPECT(pthread_key_create(&late_key, late) == 0, "key");
    EXPECT(pthread_barrier_init(&step, NULL, 2) == 0, "barrier");
    for (size_t round = 0; round < 6; round++) {
        threads_run(leaver_body, 2);
        prove_running();
        for (size_t i = 0; i < BATCH_MOST; i += 2) /* their heaps are in the pool */
            slot_give(&batch[i]);
        for (size_t i = 0; i < TEST_COUNT(own); i++) /* and are adopted for this */
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
}

/* One thread allocates, the other only ever frees: memory stays bounded. */
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
        if (round > 4) EXPECT(now <= early + 24, "%zu MiB in round %zu, %zu in round 4", now, round, early);
        step_wait();
    }
    return NULL;
}

static void phase_free_only(void) {
    EXPECT(pthread_barrier_init(&step, NULL, 2) == 0, "barrier");
    threads_run(free_only_body, 2);
    pthread_barrier_destroy(&step);
}

/* ---- threads that race ------------------------------------------------------------------------------- */

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

/* ---- failures ---------------------------------------------------------------------------------------- */

static size_t more_than_there_is(void) {
    return (size_t)(atomic_load(&hak_range_limit) << 4) + ((size_t)64 << 20);
}

static void out_of_memory(size_t first, bool for_ever) {
    struct slot kept[12] = {{0}}, grown[12] = {{0}};
    struct slot small;
    void *huge = NULL;
    for (size_t i = 0; i < TEST_COUNT(kept); i++)
        slot_take(&kept[i], 100 + 18000 * i);
    slot_take(&small, 40);
    hak_os_faults_begin(first, for_ever);
    for (size_t i = 0; i < TEST_COUNT(kept); i++) {
        count_operation();
        size_t size = (size_t)1 << (18 + i % 5);
        slot_verify_bytes(&kept[i], kept[i].room);
        errno = 0;
        struct slot moved = kept[i];
        moved.block = hak_realloc(kept[i].block, size);
        if (moved.block == NULL) {
            EXPECT(errno == ENOMEM, "errno %d", errno);
            slot_verify_bytes(&kept[i], kept[i].room); /* still there */
        } else {
            slot_verify_bytes(&moved, kept[i].size);
            slot_own(&kept[i], moved.block, size, 16);
        }
        errno = 0;
        void *block = hak_malloc(size);
        if (block == NULL)
            EXPECT(errno == ENOMEM, "errno %d", errno);
        else
            slot_own(&grown[i], block, size, 16);
    }
    for (size_t i = 0; i < 6000 && for_ever; i++) { /* small ones too, until a SuperSlab is refused */
        batch[i].block = NULL;
        void *block = hak_malloc(3000);
        if (block != NULL) slot_own(&batch[i], block, 3000, 16);
    }
    if (for_ever) huge = hak_malloc(more_than_there_is());
    if (for_ever && huge == NULL) {
        void *moved = hak_realloc(small.block, more_than_there_is());
        if (moved == NULL)
            slot_verify_bytes(&small, small.room);
        else
            small = (struct slot){.block = moved, .size = small.size, .room = small.size, .fill = small.fill};
    }
    hak_os_faults_end();
    prove_running();
    hak_free(huge);
    slot_give(&small);
    for (size_t i = 0; i < 6000 && for_ever; i++)
        slot_give(&batch[i]);
    for (size_t i = 0; i < TEST_COUNT(kept); i++) {
        slot_give(&kept[i]);
        slot_give(&grown[i]);
    }
    prove_running();
}

static void phase_no_memory(void) {
    for (size_t first = 0; first < 8; first++)
        for (int for_ever = 0; for_ever < 2; for_ever++) {
            out_of_memory(first, for_ever);
            hak_malloc_trim(0);
        }
}

/* Runs `body` in a child; the status it ends with. Children have nothing to say of their own. */
static int child_status(void (*body)(void)) {
    pid_t child = fork();
    EXPECT(child >= 0, "fork");
    if (child == 0) {
        alarm(CHILD_SECONDS);
        signal(SIGALRM, SIG_DFL);
        body();
        _exit(0);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child, "waitpid");
    return status;
}

static void quietly(void) {
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS};
    for (size_t i = 0; i < TEST_COUNT(numbers); i++)
        signal(numbers[i], SIG_DFL);
    if (freopen("/dev/null", "w", stderr) == NULL) _exit(3);
}

static void free_unmapped(void) {
    quietly();
    char *pages = mmap(NULL, 3 << 16, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    hak_free(test_opaque_pointer(pages + (1 << 16)));
}

static void free_static(void) {
    static _Alignas(64) unsigned char bytes[256];
    quietly();
    bytes[63] = HAK_BIN_HEADER(3);
    hak_free(test_opaque_pointer(bytes + 64));
}

static void free_twice(void) {
    quietly();
    void *block = hak_malloc(50);
    hak_free(block);
    hak_free(test_opaque_pointer(block));
}

static void free_large_twice(void) {
    quietly();
    void *block = hak_malloc(500000);
    hak_free(block);
    hak_free(test_opaque_pointer(block));
}

static void free_uncommitted(void) {
    quietly();
    uint64_t limit = atomic_load(&hak_range_limit);
    hak_os_faults_begin(0, true);
    hak_free(hak_malloc((limit << 4) + ((size_t)1 << 31)));
    hak_os_faults_end();
    hak_free(test_opaque_pointer((char *)hak_range_base + (limit << 4) + ((size_t)1 << 30)));
}

/* Errors of the program are named before the program dies. */
static void phase_errors(void) {
    static void (*const bodies[])(void) = {free_unmapped, free_static, free_twice, free_large_twice,
                                           free_uncommitted};
    if (sanitized) return;
    for (size_t i = 0; i < TEST_COUNT(bodies); i++) {
        count_operation();
        int status = child_status(bodies[i]);
        EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "error %zu ends with status %#x", i,
               status);
    }
}

static _Atomic bool forking;

static void *busy_body(void *number) {
    uint64_t random = seed + 50 + (uintptr_t)number;
    while (atomic_load(&forking)) {
        struct slot slot;
        slot_take(&slot, any_size(&random, SIZE_MAX));
        slot_give(&slot);
    }
    return NULL;
}

static void child_goes_on(void) {
    phase_name = "child";
    uint64_t random = seed;
    for (size_t i = 0; i < 300; i++)
        slot_give(&batch[i]);
    for (size_t i = 0; i < 2000; i++)
        slot_take(&batch[i], any_size(&random, SIZE_MAX));
    for (size_t i = 0; i < 2000; i++)
        slot_give(&batch[i]);
    hak_malloc_trim(0);
}

static void phase_fork(void) {
    pthread_t busy[2];
    if (sanitized) return;
    for (size_t i = 0; i < 300; i++)
        slot_take(&batch[i], 1 + i * 300);
    atomic_store(&forking, true);
    for (uintptr_t i = 0; i < 2; i++)
        EXPECT(pthread_create(&busy[i], NULL, busy_body, (void *)i) == 0, "pthread_create");
    for (int round = 0; round < 6; round++) {
        int status = child_status(child_goes_on);
        EXPECT(!(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM), "child %d hangs", round);
        EXPECT(status == 0, "child %d ends with status %#x", round, status);
    }
    atomic_store(&forking, false);
    for (size_t i = 0; i < 2; i++)
        pthread_join(busy[i], NULL);
    for (size_t i = 0; i < 300; i++)
        slot_give(&batch[i]);
}

/* ---- all of it --------------------------------------------------------------------------------------- */

static const struct phase {
    const char *name;
    void (*run)(void);
} phases[] = {
    {"single", phase_single},       {"batch", phase_batch},   {"recycle", phase_recycle},
    {"zero", phase_zero},           {"resize", phase_resize}, {"bigcache", phase_bigcache},
    {"policy", phase_policy},       {"trim", phase_trim},     {"impossible", phase_impossible},
    {"remote", phase_remote},       {"ring", phase_ring},     {"exits", phase_exits},
    {"free_only", phase_free_only}, {"mixed", phase_mixed},   {"no_memory", phase_no_memory},
    {"errors", phase_errors},       {"fork", phase_fork},
};

static void *warm_body(void *unused) {
    (void)unused;
    hak_free(hak_malloc(100));
    step_wait();
    return NULL;
}

/* What the thread library keeps for each thread is there before anything is counted. */
static void warm_up(void) {
    EXPECT(pthread_barrier_init(&step, NULL, 4) == 0, "barrier");
    threads_run(warm_body, 4);
    pthread_barrier_destroy(&step);
    resident_mb();
    hak_malloc_trim(0);
    if (proofs) EXPECT(hak_check_heap(&baseline), "%zu equations do not hold", baseline.faults);
}

static bool wanted(const char *name, int argc, char **argv) {
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], name) == 0) return true;
    return argc <= 2;
}

int main(int argc, char **argv) {
    if (argc > 1) seed = (uint64_t)atol(argv[1]);
    const char *wish = getenv("HAK_SEEDED_PROOFS");
    proofs = wish == NULL || strcmp(wish, "0") != 0;
    sanitized = strcmp(HAK_VARIANT_NAME, "tsan") == 0;
    catch_ends();
    warm_up();
    for (size_t i = 0; i < TEST_COUNT(phases); i++) {
        if (!wanted(phases[i].name, argc, argv)) continue;
        phase_name = phases[i].name;
        phases[i].run();
        prove_empty();
    }
    return test_ok("%llu operations", (unsigned long long)atomic_load(&operations));
}
