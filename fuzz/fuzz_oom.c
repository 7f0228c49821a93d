/* One call to the system fails, or all from that call on. Requests may fail; nothing else may go
 * wrong. */
#include "fuzz/run.h"

static const uint8_t kinds[] = {
    FUZZ_MALLOC,  FUZZ_MALLOC,    FUZZ_MALLOC,        FUZZ_FREE,
    FUZZ_FREE,    FUZZ_FREE_MANY, FUZZ_MALLOC_MANY,   FUZZ_REALLOC,
    FUZZ_REALLOC, FUZZ_CALLOC,    FUZZ_ALIGNED_ALLOC, FUZZ_POSIX_MEMALIGN,
    FUZZ_TRIM,    FUZZ_MALLOPT,   FUZZ_TIME_PASSES,   FUZZ_THREAD_END,
};

/* Half of the blocks are long, so that they soon fill the committed part of the range. */
static size_t size_mostly_long(uint16_t code) {
    return code % 4 < 2 ? (size_t)(code >> 2) * 64 : fuzz_size_any(code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct fuzz_profile profile = {
        .size = size_mostly_long, .kinds = kinds, .kind_count = sizeof kinds, .faults = true};
    return fuzz_run(&profile, data, size);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    return fuzz_mutate(data, size, max_size, seed);
}
