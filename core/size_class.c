#include "core/size_class.h"

#define CLASS_ROW(tier, index, previous, stride_, units_)                                          \
    [HAK_CLASS_OF(tier, index)] = {.stride = (stride_),                                            \
                                   .units = (units_),                                              \
                                   .reciprocal = (((uint64_t)1 << 40) + (stride_)-1) / (stride_)},

const struct hak_class hak_classes[HAK_CLASSES] = {HAK_CLASS_TABLE(CLASS_ROW)};

#define CHECK_ROW(tier, index, previous, stride, units)                                            \
    _Static_assert((stride) % 16 == 0 && (stride) > (previous) && (index) < HAK_TIER_CLASSES,      \
                   "class table");
HAK_CLASS_TABLE(CHECK_ROW)

/* The lookup tables, generated from the class table. Sizes include the header byte: entry u of the
 * first table is the class for u * 16 bytes, entry u of the second for u * 1024 + 16 bytes. The
 * first table has no rows of the pool tier, and the second has only these: for the other rows a
 * macro expands to nothing. */
#define MAP_16_TINY(bin, previous, stride)                                                         \
    [(previous) / 16 + 1 ...(stride) / 16] = HAK_CLASS_HEADER(bin),
#define MAP_16_MID(bin, previous, stride)                                                          \
    [(previous) / 16 + 1 ...(stride) / 16] = HAK_CLASS_HEADER(bin),
#define MAP_16_POOL(bin, previous, stride)
#define MAP_16(tier, index, previous, stride, units)                                               \
    MAP_16_##tier(HAK_CLASS_OF(tier, index), previous, stride)

#define MAP_1K_TINY(bin, previous, stride)
#define MAP_1K_MID(bin, previous, stride)
#define MAP_1K_POOL(bin, previous, stride)                                                         \
    [(previous) / 1024 + 1 ...(stride) / 1024] = HAK_CLASS_HEADER(bin),
#define MAP_1K(tier, index, previous, stride, units)                                               \
    MAP_1K_##tier(HAK_CLASS_OF(tier, index), previous, stride)

const uint8_t hak_headers_by_16[HAK_MID_MAX / 16 + 2] = {HAK_CLASS_TABLE(MAP_16)};
const uint8_t hak_headers_by_1k[53] = {HAK_CLASS_TABLE(MAP_1K)};

const char *hak_tier_name(enum hak_tier tier) {
    static const char *const names[] = {"tiny", "pool", "mid"};
    return names[tier];
}
