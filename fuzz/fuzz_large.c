/* Blocks above 52 KiB, the BigCache, and the spans of granules that the blocks lie on. */
#include "fuzz/run.h"

static const uint8_t kinds[] = {
    FUZZ_MALLOC,    FUZZ_MALLOC,      FUZZ_FREE,    FUZZ_FREE,        FUZZ_CALLOC,
    FUZZ_REALLOC,   FUZZ_REALLOC,     FUZZ_REALLOC, FUZZ_MEMALIGN,    FUZZ_MALLOPT,
    FUZZ_FREE_MANY, FUZZ_USABLE_SIZE, FUZZ_TRIM,    FUZZ_TIME_PASSES,
};

/* A few lengths that recur, near multiples of a granule; lengths near the largest class, on both
 * sides; others up to 8 MiB. */
static size_t size_large(uint16_t code) {
    size_t n = code & 0x1fff;
    switch (code >> 14) {
    case 0:
        return (n % 24 + 1) * HAK_GRANULE - 32 + n / 24 % 4 * 8;
    case 1:
        return HAK_POOL_MAX - 4 + n % 16;
    case 2:
        return n * 1024;
    default:
        return (n % 16 + 1) * 2 * HAK_GRANULE - HAK_ALIGNMENT;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct fuzz_profile profile = {
        .size = size_large, .kinds = kinds, .kind_count = sizeof kinds};
    return fuzz_run(&profile, data, size);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    return fuzz_mutate(data, size, max_size, seed);
}
