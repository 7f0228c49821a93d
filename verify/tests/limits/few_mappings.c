/* The number of kernel mappings stays small whatever the program does: here a hundred thousand
 * random allocations of all sizes and alignments, frees, resizes and trims. The kernel's own limit
 * is 65530. */
#include "../pattern.h"
#include "../process.h"

enum { SLOTS = 3000, ROUNDS = 100000, MOST = 1000 };

static struct held {
    void *block;
    size_t size;
} held[SLOTS];

static size_t next_size(uint64_t *seed) {
    size_t dice = test_random_below(seed, 100);
    if (dice < 40) return 1 + test_random_below(seed, 1000);
    if (dice < 60) return 1000 + test_random_below(seed, 52000);
    if (dice < 98) return 53000 + test_random_below(seed, 300000);
    return (size_t)1 << (18 + test_random_below(seed, 6));
}

static void change(struct held *slot, uint64_t *seed) {
    size_t size = next_size(seed), old = slot->size, act = test_random_below(seed, 10);
    if (slot->block != NULL)
        CHECK(pattern_ends_match(slot->block, old, (uint64_t)(slot - held)),
              "block of %zu bytes is damaged", old);
    if (act < 3) {
        bool filled = slot->block != NULL;
        slot->block = realloc(slot->block, size);
        CHECK(slot->block != NULL, "realloc to %zu bytes: errno %d", size, errno);
        if (filled && size >= old)
            CHECK(pattern_ends_match(slot->block, old, (uint64_t)(slot - held)),
                  "realloc from %zu to %zu bytes", old, size);
    } else {
        free(slot->block);
        slot->block = act < 4   ? NULL
                      : act < 5 ? memalign((size_t)1 << (4 + size % 14), size)
                                : malloc(size);
        if (act < 4) return;
    }
    CHECK(slot->block != NULL, "no block of %zu bytes: errno %d", size, errno);
    slot->size = size;
    pattern_fill_ends(slot->block, size, (uint64_t)(slot - held));
}

int main(void) {
    test_needs_hakmem();
    uint64_t seed = 3;
    size_t highest = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        change(&held[test_random_below(&seed, SLOTS)], &seed);
        if (round % 20000 == 19999) malloc_trim(0);
        if (round % 1000 != 0) continue;
        size_t mappings = process_mappings();
        if (mappings > highest) highest = mappings;
        CHECK(mappings < MOST, "%zu mappings after %zu allocations", mappings, round);
    }
    return test_ok("at most %zu mappings", highest);
}
