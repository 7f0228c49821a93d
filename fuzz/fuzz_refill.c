/* Refill, flush and collect. Slabs have few blocks, limits are tiny, and threads free each other's
 * blocks, so that each edge of a slab and of a SuperSlab is a few operations away. */
#include "fuzz/run.h"

static const uint8_t kinds[] = {
    FUZZ_MALLOC,      FUZZ_MALLOC,      FUZZ_MALLOC,  FUZZ_FREE,        FUZZ_FREE,
    FUZZ_MALLOC_MANY, FUZZ_FREE_MANY,   FUZZ_REALLOC, FUZZ_COLLECT,     FUZZ_FLUSH_ALL,
    FUZZ_THREAD_END,  FUZZ_TIME_PASSES, FUZZ_TRIM,    FUZZ_MALLOC_MANY, FUZZ_MEMALIGN,
};

/* Sizes of classes with 4 to 10 blocks in a slab (tier pool), with 9 to 21 (tier mid), and of one
 * tiny class. */
static size_t size_few_a_slab(uint16_t code) {
    static const uint8_t bins[] = {HAK_CLASS_OF(POOL, 15), HAK_CLASS_OF(POOL, 14),
                                   HAK_CLASS_OF(POOL, 11), HAK_CLASS_OF(POOL, 8),
                                   HAK_CLASS_OF(MID, 15),  HAK_CLASS_OF(MID, 14),
                                   HAK_CLASS_OF(MID, 9),   HAK_CLASS_OF(TINY, 15)};
    return hak_classes[bins[code % sizeof bins]].stride - 1 - (code >> 8) % 16;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct fuzz_profile profile = {
        .size = size_few_a_slab, .kinds = kinds, .kind_count = sizeof kinds};
    return fuzz_run(&profile, data, size);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    size_t mutated = fuzz_mutate(data, size, max_size, seed);
    if (mutated > 0 && data[0] == 0) data[0] = 1; /* never the default limits */
    return mutated;
}
