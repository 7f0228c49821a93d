/* Virtual threads that run concurrently, in an order that the input gives (fuzz/schedule.h).
 * Threads free, resize and read blocks that other threads allocated; they end, begin anew and
 * reclaim heaps; and the child of a fork goes on alone. */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/hakmem.h"
#include "core/policy.h"
#include "fuzz/schedule.h"
#include "verify/audit.h"
#include "verify/virtual/scheduler.h"
#include "verify/heap_check.h"

#define LIVE_MAX ((size_t)64 << 20)

enum kind {
    MALLOC,
    CALLOC,
    REALLOC,
    FREE,
    MEMALIGN,
    USABLE_SIZE,
    MALLOC_MANY,
    FREE_MANY,
    COLLECT,
    FLUSH_ALL,
    TRIM,
    TIME_PASSES,
    THREAD_END,
    POLICY,
    FORK
};

static enum kind kind_of(const struct fuzz_op *op) {
    static const uint8_t kinds[] = {
        MALLOC,     MALLOC,     MALLOC,  MALLOC,    FREE,        FREE,        FREE,
        FREE,       REALLOC,    CALLOC,  MEMALIGN,  USABLE_SIZE, MALLOC_MANY, FREE_MANY,
        FREE_MANY,  COLLECT,    COLLECT, FLUSH_ALL, FLUSH_ALL,   TRIM,        TIME_PASSES,
        THREAD_END, THREAD_END, POLICY,  FORK,
    };
    return (enum kind)kinds[op->kind % sizeof kinds];
}

/* Sizes of classes with few blocks in a slab, so that each edge is near; sometimes a tiny or a
 * large size. */
static size_t size_of(const struct fuzz_op *op) {
    static const uint8_t bins[] = {HAK_CLASS_OF(POOL, 15), HAK_CLASS_OF(POOL, 15),
                                   HAK_CLASS_OF(POOL, 11), HAK_CLASS_OF(POOL, 8),
                                   HAK_CLASS_OF(MID, 15),  HAK_CLASS_OF(MID, 9),
                                   HAK_CLASS_OF(TINY, 15)};
    unsigned choice = op->size % 8u;
    size_t less = (op->size >> 8) % 16u;
    return choice == 7 ? 100000 + less : hak_classes[bins[choice]].stride - 1 - less;
}

static struct hak_policy other_policy; /* the operation POLICY makes it the policy of the process */

bool __real_hak_check_heap(struct hak_heap_check *result);
bool __wrap_hak_check_heap(struct hak_heap_check *result);

/* The check runs code of core/, whose steps are not steps of the program. */
bool __wrap_hak_check_heap(struct hak_heap_check *result) {
    fuzz_schedule_hold();
    bool sound = __real_hak_check_heap(result);
    fuzz_schedule_go_on();
    return sound;
}

/* The audit proves the whole heap (level 3) only while at most one thread is in the middle of an
 * operation. */
static void level_set(unsigned busy) {
    hak_audit_options.level = busy > 1 ? 2 : 3;
}

/* ---- operations ------------------------------------------------------------------------------ */

static bool busy[FUZZ_SLOTS]; /* a thread is about to fill or to empty the slot */

static void slot_empty(unsigned slot) {
    unsigned char *start = fuzz_block(slot)->start;
    if (start == NULL) return;
    fuzz_block_end(slot);
    hak_free(start);
}

static void *request(const struct fuzz_op *op, size_t size, size_t align) {
    enum kind kind = kind_of(op);
    if (kind == CALLOC) return hak_calloc(1, size);
    return kind == MEMALIGN ? hak_memalign(align, size) : hak_malloc(size);
}

static void expect_zero(const unsigned char *start, size_t size) {
    FUZZ_CHECK(start[0] == 0 && memcmp(start, start + 1, size - 1) == 0,
               "calloc of %zu bytes is not zero", size);
}

/* Frees the block of the slot and allocates a new one. */
static void take(const struct fuzz_op *op) {
    size_t size = size_of(op), align = (size_t)16 << op->align % 9;
    if (busy[op->slot] || fuzz_live_bytes() + size > LIVE_MAX) return;
    busy[op->slot] = true;
    slot_empty(op->slot);
    unsigned char *start = request(op, size, align);
    FUZZ_CHECK(start != NULL, "a request of %zu bytes failed", size);
    if (kind_of(op) == CALLOC) expect_zero(start, size);
    fuzz_block_begin(op->slot, start, size, kind_of(op) == MEMALIGN ? align : HAK_ALIGNMENT);
    busy[op->slot] = false;
}

static void give(const struct fuzz_op *op) {
    if (busy[op->slot]) return;
    busy[op->slot] = true;
    slot_empty(op->slot);
    busy[op->slot] = false;
}

static void resize(const struct fuzz_op *op) {
    struct fuzz_block old = *fuzz_block(op->slot);
    size_t size = size_of(op);
    if (busy[op->slot] || fuzz_live_bytes() + size > LIVE_MAX) return;
    busy[op->slot] = true;
    if (old.start != NULL) fuzz_block_end(op->slot);
    unsigned char *start = hak_realloc(old.start, size);
    FUZZ_CHECK(start != NULL, "realloc to %zu bytes failed", size);
    if (old.start != NULL) fuzz_block_kept(&old, start, size < old.size ? size : old.size);
    fuzz_block_begin(op->slot, start, size, HAK_ALIGNMENT);
    busy[op->slot] = false;
}

static void look_at(const struct fuzz_op *op) {
    const struct fuzz_block *block = fuzz_block(op->slot);
    if (busy[op->slot] || block->start == NULL) return;
    busy[op->slot] = true;
    size_t usable = hak_malloc_usable_size(block->start);
    FUZZ_CHECK(usable >= block->size, "%zu bytes are usable of %zu", usable, block->size);
    fuzz_block_kept(block, block->start, block->size);
    busy[op->slot] = false;
}

static void many(const struct fuzz_op *op, void (*each)(const struct fuzz_op *)) {
    struct fuzz_op one = *op;
    for (unsigned i = 0; i <= op->align % 16u; i++, one.slot++)
        each(&one);
}

/* In the child of a fork the other threads do not exist, whatever they were doing. Their blocks
 * must be unchanged, and every operation must work. */
_Noreturn static void go_on_alone(void) {
    for (unsigned slot = 0; slot < FUZZ_SLOTS; slot++)
        if (!busy[slot]) slot_empty(slot);
    for (unsigned size = 0; size < 8; size++) {
        struct fuzz_op op = {.slot = (uint8_t)size, .size = (uint16_t)size};
        take(&op);
        give(&op);
    }
    hak_malloc_trim(0);
    fuzz_child_ends(true);
}

/* Rare, because a fork takes longer than all other operations. */
static void copy_process(const struct fuzz_op *op) {
    if (op->align < 255) return;
    pid_t child = fork();
    FUZZ_CHECK(child >= 0, "fork: errno %d", errno);
    if (child == 0) go_on_alone();
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        FUZZ_CHECK(errno == EINTR, "waitpid: errno %d",
                   errno); /* libFuzzer's alarm interrupts it */
    FUZZ_CHECK(status == 0, "the child of a fork ended with %#x", (unsigned)status);
}

static void run_op(const struct fuzz_op *op) {
    switch (kind_of(op)) {
    case REALLOC:
        resize(op);
        break;
    case FREE:
        give(op);
        break;
    case USABLE_SIZE:
        look_at(op);
        break;
    case MALLOC_MANY:
        many(op, take);
        break;
    case FREE_MANY:
        many(op, give);
        break;
    case COLLECT:
        fuzz_collect();
        break;
    case FLUSH_ALL:
        fuzz_flush_all();
        break;
    case TRIM:
        hak_malloc_trim(0);
        break;
    case TIME_PASSES:
        fuzz_time_passes(op->size % 2000u);
        break;
    case THREAD_END:
        fuzz_thread_end();
        break;
    case POLICY:
        hak_policy_replace(&other_policy);
        break;
    case FORK:
        copy_process(op);
        break;
    default:
        take(op);
    }
}

/* ---- inputs ---------------------------------------------------------------------------------- */

static void policies_begin(const struct fuzz_header *header) {
    static struct hak_policy policy;
    struct fuzz_header other = {.bins = (uint8_t)(header->fail | 1), .options = header->for_ever};
    other_policy = *fuzz_policy(&other);
    policy = *fuzz_policy(header);
    hak_policy_replace(&policy);
    fuzz_flush_all(); /* the bins now have the limits of the policy */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_header header;
    if (size < sizeof header) return 0;
    memcpy(&header, data, sizeof header);
    fuzz_state_init();
    policies_begin(&header);
    fuzz_lines_begin(NULL);
    fuzz_schedule_run(data, size, run_op, level_set);
    for (unsigned slot = 0; slot < FUZZ_SLOTS; slot++)
        slot_empty(slot);
    fuzz_state_end(false);
    fuzz_lines_end();
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    size_t mutated = fuzz_schedule_mutate(data, size, max_size, seed);
    if (mutated > 0 && data[0] == 0) data[0] = 1; /* never the default limits */
    return mutated;
}
