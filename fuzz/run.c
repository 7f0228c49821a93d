#include "fuzz/run.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/hakmem.h"
#include "core/large.h"
#include "core/policy.h"
#include "fuzz/record.h"
#include "verify/audit.h"
#include "verify/heap_check.h"
#include "verify/os_faults.h"

#define SIZE_POSSIBLE                                                                              \
    ((size_t)16 << 20) /* requests up to here must succeed unless a call to the system fails */
#define LIVE_BYTES_MAX ((size_t)64 << 20) /* an operation that would need more is skipped */

static const struct fuzz_profile *profile;
static unsigned thread; /* the virtual thread that runs */

/* ---- sizes and alignments -------------------------------------------------------------------- */

size_t fuzz_size_any(uint16_t code) {
    static const size_t impossible[] = {SIZE_MAX, SIZE_MAX / 2, PTRDIFF_MAX, (size_t)1 << 47,
                                        HAK_REQUEST_MAX};
    size_t n = code & 0x1fff;
    switch (code >> 13) {
    case 0:
        return n % 256;
    case 1:
        return n % 2048;
    case 2: /* around the end of a class */
        return hak_classes[n % HAK_CLASSES].stride - 2 + n / HAK_CLASSES % 4;
    case 3:
        return n;
    case 4:
        return n * 8;
    case 5:
        return n % 256 < 250 ? n * 16 : n * 256;
    case 6:
        return n % 4096;
    default:
        return n % 8 != 0 ? n % 1024 : impossible[n / 8 % 5] - n / 64 % 64;
    }
}

static bool is_possible(size_t size) {
    return size <= SIZE_POSSIBLE;
}

/* Mostly powers of two, up to 4 MiB; sometimes no power of two. */
static size_t alignment_of(const struct fuzz_op *op) {
    if (op->align >= 0xf0) return (size_t)(op->align & 15) * 24;
    return (size_t)1 << (op->align >= 0xe0 ? 7 + op->align % 16u : (op->align & 31) % 13u);
}

static size_t power_at_least(size_t n) {
    size_t power = 16;
    while (power < n)
        power *= 2;
    return power;
}

/* ---- operations ------------------------------------------------------------------------------ */

#define ERRNO_BEFORE 77 /* a call may change errno only to report its failure */

static bool fits(size_t size) {
    return !is_possible(size) || fuzz_live_bytes() + size <= LIVE_BYTES_MAX;
}

static void record(enum oplog_kind kind, unsigned slot, size_t size, size_t align) {
    fuzz_record(kind, thread, slot, size, align, oplog_returns_block(kind) && !is_possible(size));
}

/* Checks the outcome of a request: a block that meets the contract, or an allowed failure. */
static void *request_done(unsigned slot, void *start, size_t size, size_t align) {
    if (start == NULL) {
        FUZZ_CHECK(errno == ENOMEM, "errno is %d after a request of %zu bytes", errno, size);
        FUZZ_CHECK(profile->faults || !is_possible(size),
                   "a request of %zu bytes, aligned to %zu, failed", size, align);
        return NULL;
    }
    FUZZ_CHECK(errno == ERRNO_BEFORE, "errno became %d by a request of %zu bytes", errno, size);
    FUZZ_CHECK(is_possible(size), "a request of %zu bytes did not fail", size);
    fuzz_block_begin(slot, start, size, align);
    return start;
}

static void slot_free(unsigned slot) {
    const struct fuzz_block *block = fuzz_block(slot);
    if (block->start == NULL) return;
    void *start = block->start;
    fuzz_block_end(slot);
    record(OPLOG_FREE, slot, 0, 0);
    errno = ERRNO_BEFORE;
    hak_free(start);
    FUZZ_CHECK(errno == ERRNO_BEFORE, "free changed errno to %d", errno);
}

/* Prepares a request: empties the slot and sets errno. False if the block would exceed
 * LIVE_BYTES_MAX. */
static bool begin(const struct fuzz_op *op, size_t size) {
    slot_free(op->slot);
    errno = ERRNO_BEFORE;
    return fits(size);
}

static void op_malloc(const struct fuzz_op *op) {
    size_t size = profile->size(op->size);
    if (!begin(op, size)) return;
    record(OPLOG_MALLOC, op->slot, size, 0);
    request_done(op->slot, hak_malloc(size), size, HAK_ALIGNMENT);
}

static bool is_zero(const unsigned char *bytes, size_t size) {
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* Checks a block of up to a granule as a whole, and a granule at both ends of a longer one: the
 * pages in between are not read. */
static void expect_zero(const unsigned char *bytes, size_t size) {
    size_t part = size < HAK_GRANULE ? size : HAK_GRANULE;
    FUZZ_CHECK(is_zero(bytes, part) && is_zero(bytes + size - part, part),
               "calloc of %zu bytes is not zero", size);
}

static void op_calloc(const struct fuzz_op *op) {
    size_t size = profile->size(op->size);
    if (!begin(op, size)) return;
    size_t count = op->align == 255 ? SIZE_MAX / 2 : 1u + op->align % 3u;
    size_t part = count == SIZE_MAX / 2 ? size : size / count;
    bool overflows = part > SIZE_MAX / count;
    fuzz_record(OPLOG_CALLOC, thread, op->slot, part, count,
                overflows || !is_possible(count * part));
    unsigned char *start = hak_calloc(count, part);
    if (start != NULL && !overflows) expect_zero(start, count * part);
    request_done(op->slot, start, overflows ? SIZE_MAX : count * part, HAK_ALIGNMENT);
}

/* Checks the outcome of a realloc: the old block is gone or, if the request failed, unchanged. */
static void resized(unsigned slot, struct fuzz_block old, void *start, size_t size) {
    if (start == NULL && old.start != NULL) {
        fuzz_block_kept(&old, old.start, old.size);
        request_done(slot, NULL, size, HAK_ALIGNMENT);
        return;
    }
    if (old.start != NULL) fuzz_block_kept(&old, start, size < old.size ? size : old.size);
    if (old.start != NULL) fuzz_block_forget(slot);
    request_done(slot, start, size, HAK_ALIGNMENT);
}

static void op_realloc(const struct fuzz_op *op) {
    struct fuzz_block old = *fuzz_block(op->slot);
    size_t size = profile->size(op->size);
    if (!fits(size)) return;
    fuzz_block_kept(&old, old.start, old.size);
    record(OPLOG_REALLOC, op->slot, size, 0);
    errno = ERRNO_BEFORE;
    void *start = hak_realloc(old.start, size);
    if (size == 0 && old.start != NULL) {
        FUZZ_CHECK(start == NULL && errno == ERRNO_BEFORE, "realloc to 0 bytes gave %p, errno %d",
                   start, errno);
        fuzz_block_forget(op->slot);
        return;
    }
    resized(op->slot, old, start, size);
}

static void op_reallocarray(const struct fuzz_op *op) {
    struct fuzz_block old = *fuzz_block(op->slot);
    size_t size = profile->size(op->size), count = 1u + op->align % 5u;
    if (op->align == 255) size = count = SIZE_MAX / 4;
    bool overflows = size > SIZE_MAX / count;
    if (size == 0 || !fits(overflows ? SIZE_MAX : size * count)) return;
    record(OPLOG_REALLOC, op->slot, overflows ? SIZE_MAX : size * count, 0);
    errno = ERRNO_BEFORE;
    void *start = hak_reallocarray(old.start, count, size);
    resized(op->slot, old, start, overflows ? SIZE_MAX : size * count);
}

static void op_free(const struct fuzz_op *op) {
    slot_free(op->slot);
    if (op->align == 255) hak_free(NULL);
}

static void op_free_sized(const struct fuzz_op *op) {
    struct fuzz_block block = *fuzz_block(op->slot);
    if (block.start == NULL) return;
    fuzz_block_end(op->slot);
    record(OPLOG_FREE, op->slot, 0, 0);
    if (op->align % 2 == 0)
        hak_free_sized(block.start, block.size);
    else
        hak_free_aligned_sized(block.start, HAK_ALIGNMENT, block.size);
}

/* Checks the outcome of an aligned request; `valid`: the interface allows this alignment. */
static void aligned_done(const struct fuzz_op *op, void *start, size_t size, size_t align,
                         bool valid) {
    if (!valid) {
        FUZZ_CHECK(start == NULL && errno == EINVAL, "alignment %zu gave %p, errno %d", align,
                   start, errno);
        return;
    }
    request_done(op->slot, start, size, align > HAK_ALIGNMENT ? align : HAK_ALIGNMENT);
}

static void op_aligned_alloc(const struct fuzz_op *op) {
    size_t size = profile->size(op->size), align = alignment_of(op);
    if (!begin(op, size)) return;
    bool valid = hak_is_power_of_two(align);
    fuzz_record(OPLOG_ALIGNED_ALLOC, thread, op->slot, size, align, !valid || !is_possible(size));
    aligned_done(op, hak_aligned_alloc(align, size), size, align, valid);
}

static void op_posix_memalign(const struct fuzz_op *op) {
    size_t size = profile->size(op->size), align = alignment_of(op);
    if (!begin(op, size)) return;
    void *const before = &errno;
    void *start = before;
    bool valid = hak_is_power_of_two(align) && align >= sizeof(void *);
    fuzz_record(OPLOG_POSIX_MEMALIGN, thread, op->slot, size, align, !valid || !is_possible(size));
    int error = hak_posix_memalign(&start, align, size);
    FUZZ_CHECK(errno == ERRNO_BEFORE, "posix_memalign changed errno to %d", errno);
    FUZZ_CHECK((error == 0) == (start != before), "posix_memalign: %d and a pointer %p", error,
               start);
    if (error != 0) errno = error; /* the other functions return the error in errno */
    aligned_done(op, error == 0 ? start : NULL, size, align, valid);
}

static void op_memalign(const struct fuzz_op *op) {
    size_t size = profile->size(op->size), align = alignment_of(op);
    if (!begin(op, size)) return;
    if (op->align == 255) align = SIZE_MAX - 5;
    fuzz_record(OPLOG_MEMALIGN, thread, op->slot, size, align,
                align > HAK_REQUEST_MAX || !is_possible(size));
    void *start = hak_memalign(align, size);
    aligned_done(op, start, size, align > HAK_REQUEST_MAX ? align : power_at_least(align),
                 align <= HAK_REQUEST_MAX);
}

static void op_valloc(const struct fuzz_op *op) {
    size_t size = profile->size(op->size);
    if (!begin(op, size)) return;
    record(OPLOG_ALIGNED_ALLOC, op->slot, size, hak_os_page_size());
    request_done(op->slot, hak_valloc(size), size, hak_os_page_size());
}

static void op_pvalloc(const struct fuzz_op *op) {
    size_t size = profile->size(op->size), page = hak_os_page_size();
    if (!begin(op, size)) return;
    size_t whole = size == 0 ? page : is_possible(size) ? hak_round_up(size, page) : size;
    record(OPLOG_ALIGNED_ALLOC, op->slot, whole, page);
    request_done(op->slot, hak_pvalloc(size), whole, page);
}

/* Marks a part of the block, as if the program had protected, locked or advised its pages. */
static void mark_part(const struct fuzz_block *block, const struct fuzz_op *op) {
    const size_t from = op->size % block->size, most = block->size - from,
                 wanted = (size_t)op->size << 2;
    hak_large_mark_pages(block->start + from, wanted < most ? wanted + 1 : most);
    if (hak_header_of(block->start) != HAK_HEADER_LARGE) return;
    FUZZ_CHECK((hak_large_find(block->start)->renew & HAK_PAGES_MARKED) != 0,
               "nobody knows that a block of %zu bytes is marked", block->size);
}

/* The program may use all of the bytes that malloc_usable_size returns. */
static void op_usable_size(const struct fuzz_op *op) {
    struct fuzz_block block = *fuzz_block(op->slot);
    record(OPLOG_USABLE_SIZE, op->slot, 0, 0);
    size_t usable = hak_malloc_usable_size(block.start);
    FUZZ_CHECK(usable >= block.size, "%zu bytes are usable of %zu", usable, block.size);
    if (block.start != NULL && block.size > 0 && op->align >= 192) mark_part(&block, op);
    if (block.start == NULL || op->align % 2 == 0) return;
    fuzz_block_end(op->slot);
    fuzz_block_begin(op->slot, block.start, usable, HAK_ALIGNMENT);
}

/* Does an operation on several slots in a row: mostly on a few, so that short inputs run fast. The
 * audit checks the whole heap (level 3) only at each eighth operation: an error in the heap stays
 * there until then. */
static void many(const struct fuzz_op *op, void (*each)(const struct fuzz_op *)) {
    struct fuzz_op one = *op;
    unsigned most = op->align < 192 ? 8 : 64;
    for (unsigned left = op->align % most + 1; left > 0; left--, one.slot++) {
        hak_audit_options.level = left % 8 == 1 ? 3 : 2;
        each(&one);
    }
}

/* Fewer blocks if they are long: touching their pages costs time and finds few bugs. */
static void op_malloc_many(const struct fuzz_op *op) {
    struct fuzz_op less = *op;
    if (profile->size(op->size) > 2048) less.align = op->align % 8;
    many(&less, op_malloc);
}

static void op_free_many(const struct fuzz_op *op) {
    many(op, op_free);
}

static void op_trim(const struct fuzz_op *op) {
    size_t pad = op->align % 2 == 0 ? 0 : (size_t)op->size << 10;
    record(OPLOG_TRIM, 0, pad, 0);
    hak_malloc_trim(pad);
}

/* Prints the statistics in both forms; the output is discarded. */
static void figures_print(int options) {
    static FILE *nowhere;
    if (nowhere == NULL) nowhere = fopen("/dev/null", "w");
    FUZZ_CHECK(nowhere != NULL, "no /dev/null");
    hak_malloc_stats();
    int error = hak_malloc_info(options, nowhere);
    FUZZ_CHECK(error == (options == 0 ? 0 : EINVAL), "malloc_info(%d) gave %d", options, error);
}

static void op_figures(const struct fuzz_op *op) {
    struct mallinfo2 wide = hak_mallinfo2();
    struct mallinfo narrow = hak_mallinfo();
    FUZZ_CHECK(wide.uordblks + wide.fordblks == wide.arena, "mallinfo2: %zu + %zu bytes of %zu",
               wide.uordblks, wide.fordblks, wide.arena);
    FUZZ_CHECK(wide.uordblks > INT_MAX || (size_t)narrow.uordblks == wide.uordblks,
               "mallinfo and mallinfo2 differ");
    if (op->align >= 240) figures_print(op->align % 2);
}

static void op_mallopt(const struct fuzz_op *op) {
    static const int parameters[] = {M_TRIM_THRESHOLD, M_MMAP_MAX, M_MMAP_THRESHOLD, M_MXFAST};
    int parameter = parameters[op->align % 4],
        value = (op->size - 2) * (op->align < 128 ? 1 : 4096);
    /* M_MMAP_MAX 0 and M_TRIM_THRESHOLD -1 have the range keep its memory. */
    if (op->size % 4 == 0) value = parameter == M_MMAP_MAX ? 0 : -1;
    int taken = hak_mallopt(parameter, value);
    bool valid = parameter != M_MXFAST || (value >= 0 && value <= 160);
    FUZZ_CHECK(taken == valid || (profile->faults && !taken), "mallopt(%d, %d) gave %d", parameter,
               value, taken);
}

static void op_time_passes(const struct fuzz_op *op) {
    fuzz_time_passes(op->size % 2000u);
}

static void op_thread_end(const struct fuzz_op *op) {
    (void)op;
    if (thread != 0) record(OPLOG_THREAD_EXIT, 0, 0, 0);
    fuzz_thread_end();
}

static void op_collect(const struct fuzz_op *op) {
    (void)op;
    fuzz_collect();
}

static void op_flush_all(const struct fuzz_op *op) {
    (void)op;
    fuzz_flush_all();
}

/* In a child of fork: as if threads that do not exist in the child had held these locks, one bit
 * for each rank. The first thread that takes a lost lock rebuilds what the lock protects. */
static void locks_lose(unsigned ranks) {
    for (unsigned rank = 0; rank < HAK_RANK_COUNT; rank++)
        if ((ranks >> rank & 1) != 0) hak_locks[rank].stale = true;
    for (unsigned rank = 0; rank < HAK_RANK_COUNT; rank++) {
        hak_lock_take(&hak_locks[rank]);
        hak_lock_drop(&hak_locks[rank]);
    }
}

/* Rare, because a fork takes longer than all other operations. The child's heap must be consistent,
 * and must work. */
static void op_fork(const struct fuzz_op *op) {
    if (op->align < 255) return;
    pid_t child = fork();
    FUZZ_CHECK(child >= 0, "fork: errno %d", errno);
    if (child == 0) {
        struct hak_heap_check check;
        locks_lose(op->slot);
        void *block = hak_malloc(profile->size(op->size) % 100000);
        hak_free(block);
        fuzz_child_ends(block != NULL && hak_check_heap(&check));
    }
    int status = 0;
    pid_t ended;
    do { /* libFuzzer's alarm interrupts waitpid */
        ended = waitpid(child, &status, 0);
    } while (ended < 0 && errno == EINTR);
    FUZZ_CHECK(ended == child, "waitpid gave %d for child %d: errno %d", (int)ended, (int)child,
               errno);
    FUZZ_CHECK(status == 0, "the child of a fork ended with %#x", (unsigned)status);
}

static void (*const operations[FUZZ_KINDS])(const struct fuzz_op *) = {
    [FUZZ_MALLOC] = op_malloc,
    [FUZZ_CALLOC] = op_calloc,
    [FUZZ_REALLOC] = op_realloc,
    [FUZZ_REALLOCARRAY] = op_reallocarray,
    [FUZZ_FREE] = op_free,
    [FUZZ_FREE_SIZED] = op_free_sized,
    [FUZZ_ALIGNED_ALLOC] = op_aligned_alloc,
    [FUZZ_POSIX_MEMALIGN] = op_posix_memalign,
    [FUZZ_MEMALIGN] = op_memalign,
    [FUZZ_VALLOC] = op_valloc,
    [FUZZ_PVALLOC] = op_pvalloc,
    [FUZZ_USABLE_SIZE] = op_usable_size,
    [FUZZ_MALLOC_MANY] = op_malloc_many,
    [FUZZ_FREE_MANY] = op_free_many,
    [FUZZ_TRIM] = op_trim,
    [FUZZ_FIGURES] = op_figures,
    [FUZZ_MALLOPT] = op_mallopt,
    [FUZZ_TIME_PASSES] = op_time_passes,
    [FUZZ_THREAD_END] = op_thread_end,
    [FUZZ_COLLECT] = op_collect,
    [FUZZ_FLUSH_ALL] = op_flush_all,
    [FUZZ_FORK] = op_fork,
};

/* ---- inputs ---------------------------------------------------------------------------------- */

#define LARGER(a, b)  ((a) > (b) ? (a) : (b))
#define SMALLER(a, b) ((a) < (b) ? (a) : (b))

const struct hak_policy *fuzz_policy(const struct fuzz_header *header) {
    static struct hak_policy policy;
    static struct hak_policy standard;
    if (standard.bigcache_mb == 0) standard = *hak_policy();
    policy = standard;
    if (header->options & 1) policy.p0_enable = 0;
    if (header->options & 2) policy.p0_no_drain = 1;
    if (header->options & 4) policy.purge_delay_ms = 0;
    if (header->options & 8) policy.bigcache_mb = header->options >> 7;
    if (header->options & 16) policy.arena_levels = 0;
    policy.p0_log = (header->options & 0x60) == 0x60;
    if (header->bins == 0) return &policy;
    unsigned limit_max = LARGER(2, (1u + header->bins % 4) << (header->bins / 16 % 3));
    unsigned batch = SMALLER(limit_max, 1u + header->bins / 4 % 4);
    struct hak_bin_bounds tiny = {.limit_min = (uint16_t)(1 + header->bins % 4),
                                  .limit_own = (uint16_t)(limit_max / 2),
                                  .limit_max = (uint16_t)limit_max,
                                  .carve_min = (uint16_t)batch,
                                  .carve_max =
                                      (uint16_t)SMALLER(limit_max, batch << (header->bins / 64))};
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        policy.bins[bin] = tiny;
    return &policy;
}

/* Acts as if address space were scarce, so that freed memory is unmapped. */
static void scarcity(const struct fuzz_header *header) {
    size_t most = header->for_ever & 2 ? (size_t)(header->options & 15) << 18 : SIZE_MAX;
    atomic_store_explicit(&hak_range.cached_most, most, memory_order_relaxed);
}

/* Most operations belong to thread 0; the other threads share a quarter of them. */
static unsigned thread_of(const struct fuzz_op *op) {
    unsigned choice = op->thread % 16;
    return choice < 12 ? 0 : choice < 14 ? 1 : choice - 12;
}

/* Whichever call failed, once or for ever: when no call fails any more, everything must work. */
static void faults_end(void) {
    struct fuzz_profile sound = *profile;
    const struct fuzz_profile *failing = profile;
    hak_os_faults_end();
    sound.faults = false;
    profile = &sound;
    for (unsigned slot = 0; slot < 4; slot++) {
        struct fuzz_op op = {.slot = (uint8_t)slot};
        size_t size = (size_t)100 << slot * 4;
        if (!begin(&op, size)) continue;
        record(OPLOG_MALLOC, slot, size, 0);
        request_done(slot, hak_malloc(size), size, HAK_ALIGNMENT);
    }
    profile = failing;
}

/* In the log, FUZZ_THREAD_GONE exits after each of its operations. */
static void thread_run(unsigned next) {
    if (thread == FUZZ_THREAD_GONE) record(OPLOG_THREAD_EXIT, 0, 0, 0);
    thread = next;
    fuzz_thread_switch(thread);
}

static void run_operations(const uint8_t *data, size_t size) {
    for (; size >= sizeof(struct fuzz_op);
         data += sizeof(struct fuzz_op), size -= sizeof(struct fuzz_op)) {
        struct fuzz_op op;
        memcpy(&op, data, sizeof op);
        thread_run(thread_of(&op));
        operations[profile->kinds[op.kind % profile->kind_count]](&op);
    }
}

int fuzz_run(const struct fuzz_profile *wanted, const uint8_t *data, size_t size) {
    struct fuzz_header header;
    if (size < sizeof header) return 0;
    memcpy(&header, data, sizeof header);
    profile = wanted;
    fuzz_state_init();
    const struct hak_policy *policy = fuzz_policy(&header);
    fuzz_record_begin();
    hak_policy_replace(policy);
    scarcity(&header);
    fuzz_flush_all(); /* the bins now have the limits of the policy */
    fuzz_lines_begin(NULL);
    if (profile->faults) hak_os_faults_begin(header.fail, header.for_ever % 2 != 0);
    run_operations(data + sizeof header, size - sizeof header);
    thread_run(0);
    if (profile->faults) faults_end();
    for (unsigned slot = 0; slot < FUZZ_SLOTS; slot++)
        slot_free(slot);
    fuzz_state_end(profile->faults);
    fuzz_record_end();
    fuzz_lines_end();
    return 0;
}

static const uint8_t whole_kinds[] = {
    FUZZ_MALLOC,    FUZZ_MALLOC,     FUZZ_MALLOC,         FUZZ_FREE,        FUZZ_FREE,
    FUZZ_FREE,      FUZZ_REALLOC,    FUZZ_REALLOC,        FUZZ_CALLOC,      FUZZ_MALLOC_MANY,
    FUZZ_FREE_MANY, FUZZ_FREE_SIZED, FUZZ_REALLOCARRAY,   FUZZ_VALLOC,      FUZZ_ALIGNED_ALLOC,
    FUZZ_MEMALIGN,  FUZZ_PVALLOC,    FUZZ_POSIX_MEMALIGN, FUZZ_USABLE_SIZE, FUZZ_TRIM,
    FUZZ_FIGURES,   FUZZ_MALLOPT,    FUZZ_TIME_PASSES,    FUZZ_THREAD_END,  FUZZ_FORK,
};
const struct fuzz_profile fuzz_whole_interface = {
    .size = fuzz_size_any, .kinds = whole_kinds, .kind_count = sizeof whole_kinds};
