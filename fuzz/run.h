/* Inputs that are operations on the allocator, one after the other.
 *
 *   input   header, then as many operations as there are whole ones: every input is valid
 *
 * The targets differ in what their sizes, operations and policies are: a profile. */
#ifndef HAK_FUZZ_RUN_H
#define HAK_FUZZ_RUN_H

#include "fuzz/model.h"

struct fuzz_header {
    uint8_t bins;     /* 0: the default caps and batches; else tiny ones */
    uint8_t options;  /* a bit an option that is not at its default */
    uint8_t fail;     /* fuzz_oom: which call to the system */
    uint8_t for_ever; /* 1: and all after it; 2: addresses are scarce */
};

struct fuzz_op {
    uint8_t kind;
    uint8_t slot;
    uint8_t thread; /* and how many, where an operation is done several times */
    uint8_t align;
    uint16_t size;
};
_Static_assert(sizeof(struct fuzz_header) == 4 && sizeof(struct fuzz_op) == 6,
               "inputs have no padding");

struct fuzz_profile {
    size_t (*size)(uint16_t code); /* SIZE_MAX and its like: no block is so large */
    const uint8_t
        *kinds; /* enum fuzz_kind; those that are meant to be frequent stand there more than once */
    unsigned kind_count;
    bool faults; /* calls to the system fail */
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

/* What a header's bins and options mean: tiny caps and batches bring every edge of refill and flush within a few
 * operations. Valid until the next call. */
const struct hak_policy *fuzz_policy(const struct fuzz_header *header);

/* Runs an input; always 0. */
int fuzz_run(const struct fuzz_profile *profile, const uint8_t *data, size_t size);

/* Inserts, deletes, copies, exchanges and changes operations. */
size_t fuzz_mutate(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Inserts, deletes, moves and changes switches only (fuzz/schedule.h). */
size_t fuzz_mutate_switches(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Sizes of all tiers, of the edges of all classes, and impossible ones. */
size_t fuzz_size_any(uint16_t code);

/* The whole interface on virtual threads. */
extern const struct fuzz_profile fuzz_whole_interface;

/* What libFuzzer calls, of each target. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#endif
