/* free_sized takes the size that was last asked for, also after realloc. free_aligned_sized takes
 * both arguments of aligned_alloc. Freed memory is used again, so resident memory does not grow. */
#include "api.h"
#include "../process.h"

enum { BLOCKS = 64 };

static void once(uint64_t *seed) {
    static void *blocks[BLOCKS];
    static size_t sizes[BLOCKS], alignments[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        sizes[i] = tier_sizes[test_random_below(seed, TEST_COUNT(tier_sizes) - 6)];
        alignments[i] = (size_t)1 << test_random_below(seed, 17);
        if (i % 4 == 0) {
            blocks[i] = API(aligned_alloc)(alignments[i], sizes[i]);
        } else if (i % 4 == 1) {
            blocks[i] = API(malloc)(sizes[i]);
        } else if (i % 4 == 2) {
            blocks[i] = API(calloc)(sizes[i], 1);
        } else { /* the size last asked for is realloc's */
            blocks[i] =
                API(malloc)(tier_sizes[test_random_below(seed, TEST_COUNT(tier_sizes) - 6)]);
            blocks[i] = API(realloc)(blocks[i], sizes[i]);
        }
        CHECK(blocks[i] != NULL, "no block of %zu bytes", sizes[i]);
        memset(blocks[i], 0x6b, sizes[i]);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        if (i % 4 == 0)
            API(free_aligned_sized)(blocks[i], alignments[i], sizes[i]);
        else
            API(free_sized)(blocks[i], sizes[i]);
    }
}

int main(void) {
    test_needs_hakmem();
    uint64_t seed = 1;
    size_t rounds = test_quick() ? 200 : 2000;
    for (size_t round = 0; round < rounds / 4; round++)
        once(&seed);
    size_t before = process_resident();
    for (size_t round = 0; round < rounds; round++)
        once(&seed);
    size_t after = process_resident();
    CHECK(after < before + 64 * MIB, "resident bytes grow from %zu to %zu", before, after);
    errno = 4711;
    API(free_sized)(API(malloc)(100), 100);
    API(free_aligned_sized)(API(aligned_alloc)(4096, 300000), 4096, 300000);
    CHECK(errno == 4711, "a sized free sets errno to %d", errno);
    return test_ok("%zu sized frees", rounds * BLOCKS);
}
