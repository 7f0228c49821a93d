/* Pool TLS arena: how much memory a heap asks for when it needs more pool slabs.
 *
 * The blocks of the pool tier (8-52 KiB) lie in SuperSlabs of their own, which a heap asks for in
 * chunks. The first chunk is small, because most threads need few such blocks; each further chunk
 * is twice as large, up to a maximum. Refill, flush, remote frees and release use the same code as
 * for all other slabs. */
#ifndef HAK_POOL_ARENA_H
#define HAK_POOL_ARENA_H

#include "core/types.h"

struct hak_pool_arena {
    uint32_t mib; /* MiB of the SuperSlabs in the arena */
};

/* The size of the next chunk in MiB, a power of two. It is init_mb for an empty arena, and doubles
 * for each chunk that the arena's size accounts for, at most `levels` times and at most to max_mb.
 * init_mb and max_mb are above 0, and are rounded down to powers of two. */
uint32_t hak_pool_arena_next(const struct hak_pool_arena *arena, uint32_t init_mb, uint32_t max_mb,
                             uint32_t levels);

#endif
