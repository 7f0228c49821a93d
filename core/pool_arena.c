#include "core/pool_arena.h"

unsigned hak_pool_arena_shift(const struct hak_pool_arena *arena, uint32_t init_mb, uint32_t max_mb,
                              uint32_t levels) {
    HAK_CHECK(init_mb > 0 && max_mb > 0);
    unsigned level = arena->chunks < levels ? arena->chunks : levels;
    unsigned shift = 20 + hak_log2(init_mb) + level;
    unsigned limit = 20 + hak_log2(max_mb);
    if (shift > limit) shift = limit;
    HAK_ASSERT(shift >= HAK_ARENA_SHIFT_MIN);
    return shift < HAK_ARENA_SHIFT_MAX ? shift : HAK_ARENA_SHIFT_MAX;
}
