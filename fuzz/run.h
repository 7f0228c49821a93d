/* Fuzz inputs that are operations on the allocator, done one after the other.
 *
 *   input   header, then operations; bytes after the last whole operation are ignored, so that
 *           every input is valid
 *
 * A target differs from the others in its profile: the sizes, the kinds of operations, and whether
 * calls to the system fail. */
#ifndef HAK_FUZZ_RUN_H
#define HAK_FUZZ_RUN_H

#include "fuzz/model.h"

struct fuzz_header {
    uint8_t bins;     /* 0: the default limits and batches; else tiny ones */
    uint8_t options;  /* bits: which options are not at their defaults */
    uint8_t fail;     /* fuzz_oom: which call to the system fails */
    uint8_t for_ever; /* bit 0: all later calls fail too; bit 1: addresses are scarce */
};

struct fuzz_op {
    uint8_t kind;
    uint8_t slot;
    uint8_t thread; /* the virtual thread that does the operation */
    uint8_t align;  /* alignment, or how often an operation is done */
    uint16_t size;
};
_Static_assert(sizeof(struct fuzz_header) == 4 && sizeof(struct fuzz_op) == 6,
               "inputs have no padding");

struct fuzz_profile {
    size_t (*size)(uint16_t code); /* may return sizes too large for any block */
    /* Values of enum fuzz_kind; a frequent kind is listed several times. */
    const uint8_t *kinds;
    unsigned kind_count;
    bool faults; /* one call to the system fails, or all from one call on */
};

enum fuzz_kind {
    FUZZ_MALLOC,
    FUZZ_CALLOC,
    FUZZ_REALLOC,
    FUZZ_REALLOCARRAY,
    FUZZ_FREE,
    FUZZ_FREE_SIZED,
    FUZZ_ALIGNED_ALLOC,
    FUZZ_POSIX_MEMALIGN,
    FUZZ_MEMALIGN,
    FUZZ_VALLOC,
    FUZZ_PVALLOC,
    FUZZ_USABLE_SIZE,
    FUZZ_MALLOC_MANY,
    FUZZ_FREE_MANY,
    FUZZ_TRIM,
    FUZZ_FIGURES,
    FUZZ_MALLOPT,
    FUZZ_TIME_PASSES,
    FUZZ_THREAD_END,
    FUZZ_COLLECT,
    FUZZ_FLUSH_ALL,
    FUZZ_FORK,
    FUZZ_KINDS
};

/* The policy that a header stands for. Tiny limits and batches bring every edge of refill and flush
 * within a few operations. The result is valid until the next call. */
const struct hak_policy *fuzz_policy(const struct fuzz_header *header);

/* Runs an input; returns 0. */
int fuzz_run(const struct fuzz_profile *profile, const uint8_t *data, size_t size);

/* Inserts, deletes, copies, exchanges and changes operations. */
size_t fuzz_mutate(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Inserts, deletes, moves and changes switches only (fuzz/schedule.h). */
size_t fuzz_mutate_switches(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Sizes of all tiers, at the edges of all classes, and sizes that are too large for any block. */
size_t fuzz_size_any(uint16_t code);

/* The whole interface on virtual threads. */
extern const struct fuzz_profile fuzz_whole_interface;

/* Each target defines these two functions, which libFuzzer calls. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#endif
