/* Contents that prove themselves: a block is filled from a seed, and later checked against the same
 * seed. */
#ifndef HAK_VERIFY_PATTERN_H
#define HAK_VERIFY_PATTERN_H

#include "test.h"

TEST_UNUSED static uint64_t pattern_word(uint64_t seed, size_t index) {
    return (seed + 1) * 0x9e3779b97f4a7c15u + index * 0xd1342543de82ef95u;
}

TEST_UNUSED static void pattern_fill(void *block, size_t bytes, uint64_t seed) {
    unsigned char *at = (unsigned char *)block;
    size_t words = bytes / 8;
    for (size_t i = 0; i < words; i++) {
        uint64_t word = pattern_word(seed, i);
        memcpy(at + 8 * i, &word, 8);
    }
    uint64_t last = pattern_word(seed, words);
    memcpy(at + 8 * words, &last, bytes % 8);
}

/* The offset of the first byte that differs from what pattern_fill wrote, or `bytes`. */
TEST_UNUSED static size_t pattern_match(const void *block, size_t bytes, uint64_t seed) {
    const unsigned char *at = (const unsigned char *)block;
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = pattern_word(seed, i / 8);
        size_t part = bytes - i < 8 ? bytes - i : 8;
        if (memcmp(at + i, &word, part) == 0) continue;
        const unsigned char *expected = (const unsigned char *)&word;
        for (size_t k = 0; k < part; k++)
            if (at[i + k] != expected[k]) return i + k;
    }
    return bytes;
}

#define PATTERN_CHECK(block, bytes, seed)                                                          \
    do {                                                                                           \
        size_t matched_ = pattern_match(block, bytes, seed);                                       \
        CHECK(matched_ == (bytes), "block %p of %zu bytes is damaged at offset %zu",               \
              (const void *)(block), (size_t)(bytes), matched_);                                   \
    } while (0)

/* Fills only the first and the last 8 bytes, for tests with many large blocks. pattern_ends_match
 * checks them. */
TEST_UNUSED static void pattern_fill_ends(void *block, size_t bytes, uint64_t seed) {
    unsigned char *at = (unsigned char *)block;
    pattern_fill(at, bytes < 8 ? bytes : 8, seed);
    if (bytes > 8) pattern_fill(at + bytes - 8, 8, ~seed);
}

TEST_UNUSED static bool pattern_ends_match(const void *block, size_t bytes, uint64_t seed) {
    const unsigned char *at = (const unsigned char *)block;
    if (bytes <= 8) return pattern_match(at, bytes, seed) == bytes;
    size_t head = bytes < 16 ? bytes - 8 : 8; /* the part that the last 8 bytes did not overwrite */
    return pattern_match(at, head, seed) == head && pattern_match(at + bytes - 8, 8, ~seed) == 8;
}

#endif
