#include "core/pool_arena.h"

uint32_t hak_pool_arena_next(const struct hak_pool_arena *arena, uint32_t init_mb, uint32_t max_mb,
                             uint32_t levels) {
    HAK_CHECK(init_mb > 0 && max_mb > 0);
    uint32_t first = 1u << hak_log2(init_mb), limit = 1u << hak_log2(max_mb);
    /* Chunks of 1, 2, 4 ... times `first` make an arena of 1, 3, 7 ... times `first`. */
    uint32_t level = hak_log2(arena->mib / first + 1);
    uint32_t next = first << (level < levels ? level : levels);
    HAK_ASSERT(next >= first);
    return next < limit ? next : limit;
}
