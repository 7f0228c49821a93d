#include "core/size_class.h"

#define CLASS_ROW(tier, index, previous, stride_, units_)                                          \
    [HAK_CLASS_OF(tier, index)] = {.stride = (stride_),                                            \
                                   .units = (units_),                                              \
                                   .reciprocal = (((uint64_t)1 << 40) + (stride_)-1) / (stride_)},

const struct hak_class hak_classes[HAK_CLASSES] = {HAK_CLASS_TABLE(CLASS_ROW)};

/* ---- the rules of the table ------------------------------------------------------------------ */

#define STRIDE_FITS_TINY(stride) true
#define STRIDE_FITS_MID(stride)  true
#define STRIDE_FITS_POOL(stride) ((stride) % 1024 == 16)
#define WASTE_MOST_TINY          2 /* hundredths of a slab */
#define WASTE_MOST_MID           3
#define WASTE_MOST_POOL          20
#define SLAB_BYTES(units)        ((units)*HAK_GRANULE - 15)

#define CHECK_ROW(tier, index, previous, stride, units)                                            \
    _Static_assert((index) < HAK_TIER_CLASSES,                                                     \
                   "class table: a tier has 16 classes: replace one, or move it to another tier"); \
    _Static_assert((stride) % 16 == 0, "class table: a stride is a multiple of 16");               \
    _Static_assert((stride) > (previous),                                                          \
                   "class table: `previous` is the stride of the row before, which is smaller");   \
    _Static_assert(STRIDE_FITS_##tier(stride),                                                     \
                   "class table: a pool stride is a multiple of 1024, and 16 more");               \
    _Static_assert((units) == 1 || (units) == 2 || (units) == 4,                                   \
                   "class table: a slab has 1, 2 or 4 units");                                     \
    _Static_assert(SLAB_BYTES(units) / (stride) <= UINT16_MAX,                                     \
                   "class table: a slab's blocks are counted in 16 bits");                         \
    _Static_assert(SLAB_BYTES(units) % (stride)*100 <= WASTE_MOST_##tier * SLAB_BYTES(units),      \
                   "class table: too much is left over at a slab's end: take other units");
HAK_CLASS_TABLE(CHECK_ROW)

/* The strides' differences add up to the last stride only if each row begins where the one before
 * ends; an overlap in one place and a gap in another are told by the tables below, where the
 * compiler warns of an entry that is set twice. */
#define ADD_BINNED(tier, index, previous, stride, units) +(stride) - (previous)
#define ADD_SMALL_TINY(difference)                       +(difference)
#define ADD_SMALL_MID(difference)                        +(difference)
#define ADD_SMALL_POOL(difference)
#define ADD_SMALL(tier, index, previous, stride, units) ADD_SMALL_##tier((stride) - (previous))
_Static_assert(0 HAK_CLASS_TABLE(ADD_BINNED) == HAK_POOL_MAX + 1,
               "class table: each row's `previous` is the stride of the row before, and the last "
               "stride is HAK_POOL_MAX + 1");
_Static_assert(0 HAK_CLASS_TABLE(ADD_SMALL) == HAK_MID_MAX + 1,
               "class table: the last stride of the mid tier is HAK_MID_MAX + 1");

/* ---- lookup ---------------------------------------------------------------------------------- */

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
