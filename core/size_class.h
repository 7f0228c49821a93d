/* The one class table, and the one function from a size to its class.
 *
 * A stride s serves requests up to s - 1 bytes, because the last byte of a block is the header byte
 * of the next one. Powers of two are the most common requests, so there is a stride just above each
 * power of two. */
#ifndef HAK_SIZE_CLASS_H
#define HAK_SIZE_CLASS_H

#include "core/types.h"

/* X(tier, index in its tier, previous stride in the order of sizes, stride, units of a slab).
 * The unused rest at the end of a slab is below 3 % in mid slabs of two units, and below 20 % in
 * pool slabs of four. */
#define HAK_CLASS_TABLE(X)                                                                         \
    X(TINY, 0, 0, 16, 1)                                                                           \
    X(TINY, 1, 16, 32, 1)                                                                          \
    X(TINY, 2, 32, 48, 1)                                                                          \
    X(TINY, 3, 48, 64, 1)                                                                          \
    X(TINY, 4, 64, 80, 1)                                                                          \
    X(TINY, 5, 80, 112, 1)                                                                         \
    X(TINY, 6, 112, 144, 1)                                                                        \
    X(TINY, 7, 144, 176, 1)                                                                        \
    X(TINY, 8, 176, 208, 1)                                                                        \
    X(TINY, 9, 208, 272, 1)                                                                        \
    X(TINY, 10, 272, 336, 1)                                                                       \
    X(TINY, 11, 336, 400, 1)                                                                       \
    X(TINY, 12, 400, 528, 1)                                                                       \
    X(TINY, 13, 528, 656, 1)                                                                       \
    X(TINY, 14, 656, 784, 1)                                                                       \
    X(TINY, 15, 784, 1040, 1)                                                                      \
    X(MID, 0, 1040, 1168, 1)                                                                       \
    X(MID, 1, 1168, 1296, 1)                                                                       \
    X(MID, 2, 1296, 1424, 1)                                                                       \
    X(MID, 3, 1424, 1552, 1)                                                                       \
    X(MID, 4, 1552, 1808, 1)                                                                       \
    X(MID, 5, 1808, 2064, 1)                                                                       \
    X(MID, 6, 2064, 2320, 1)                                                                       \
    X(MID, 7, 2320, 2576, 1)                                                                       \
    X(MID, 8, 2576, 3088, 1)                                                                       \
    X(MID, 9, 3088, 3600, 1)                                                                       \
    X(MID, 10, 3600, 4112, 2)                                                                      \
    X(MID, 11, 4112, 4624, 1)                                                                      \
    X(MID, 12, 4624, 5136, 2)                                                                      \
    X(MID, 13, 5136, 5648, 2)                                                                      \
    X(MID, 14, 5648, 6160, 2)                                                                      \
    X(MID, 15, 6160, 7184, 1)                                                                      \
    X(POOL, 0, 7184, 8208, 4)                                                                      \
    X(POOL, 1, 8208, 10256, 4)                                                                     \
    X(POOL, 2, 10256, 12304, 4)                                                                    \
    X(POOL, 3, 12304, 14352, 4)                                                                    \
    X(POOL, 4, 14352, 16400, 4)                                                                    \
    X(POOL, 5, 16400, 18448, 4)                                                                    \
    X(POOL, 6, 18448, 20496, 4)                                                                    \
    X(POOL, 7, 20496, 22544, 4)                                                                    \
    X(POOL, 8, 22544, 24592, 4)                                                                    \
    X(POOL, 9, 24592, 28688, 4)                                                                    \
    X(POOL, 10, 28688, 32784, 4)                                                                   \
    X(POOL, 11, 32784, 36880, 4)                                                                   \
    X(POOL, 12, 36880, 40976, 4)                                                                   \
    X(POOL, 13, 40976, 45072, 4)                                                                   \
    X(POOL, 14, 45072, 49168, 4)                                                                   \
    X(POOL, 15, 49168, 53264, 4)

#define HAK_CLASS_OF(tier, index) (HAK_TIER_##tier * HAK_TIER_CLASSES + (index))

/* The largest request of each lookup table below. Mid strides are multiples of 16; pool strides are
 * multiples of 1024, plus 16. */
#define HAK_MID_MAX  ((size_t)7184 - 1)
#define HAK_POOL_MAX ((size_t)53264 - 1)

struct hak_class {
    uint32_t stride;     /* bytes */
    uint32_t units;      /* units of a SuperSlab that a slab takes */
    uint64_t reciprocal; /* ceil(2^40 / stride), for offset / stride without a division */
};

extern HAK_HIDDEN const struct hak_class hak_classes[HAK_CLASSES];
/* Header bytes of live blocks, by size; see hak_header_of_size. */
extern HAK_HIDDEN const uint8_t hak_headers_by_16[HAK_MID_MAX / 16 + 2];
extern HAK_HIDDEN const uint8_t hak_headers_by_1k[53];

/* The header byte of a live block that serves `size` bytes; size <= HAK_POOL_MAX. */
HAK_INLINE size_t hak_header_of_size(size_t size) {
    HAK_ASSERT(size <= HAK_POOL_MAX);
    /* size + 1 header byte, rounded up to 16 */
    if (HAK_LIKELY(size <= HAK_MID_MAX)) return hak_headers_by_16[1 + (size >> 4)];
    return hak_headers_by_1k[(size + 1 + 1023 - 16) >> 10];
}

HAK_INLINE unsigned hak_class_of_size(size_t size) {
    return (unsigned)hak_header_of_size(size) - HAK_CLASS_HEADER_FIRST;
}

static inline enum hak_tier hak_tier_of_class(unsigned bin) {
    return (enum hak_tier)(bin / HAK_TIER_CLASSES);
}

/* "tiny", "pool", "mid" */
const char *hak_tier_name(enum hak_tier tier);

/* The number of blocks of class `bin` that fit a slab of `bytes`: block i's user is at
 * start + 16 + i * stride. */
static inline uint32_t hak_slab_capacity(unsigned bin, size_t bytes) {
    size_t blocks = (bytes - 15) / hak_classes[bin].stride;
    return blocks > UINT16_MAX ? UINT16_MAX : (uint32_t)blocks;
}

/* offset / stride, for an offset below 2^24. */
static inline uint32_t hak_class_divide(unsigned bin, size_t offset) {
    HAK_ASSERT(offset < (size_t)1 << 24);
    return (uint32_t)((offset * hak_classes[bin].reciprocal) >> 40);
}

#endif
