/* Pool TLS arena: where a heap's next pool slabs come from.
 *
 * A heap's pool blocks (8-52 KiB) are cut from SuperSlabs of its own, which it asks the range for in chunks. The
 * first chunk is small, for most threads need few such blocks; each further one doubles, up to a limit. Of a chunk
 * the heap owns the SuperSlab that it needs; others wait in the cache for whoever needs one. Refill, flush, remote
 * frees and release are the same code as for every other slab. */
#ifndef HAK_POOL_ARENA_H
#define HAK_POOL_ARENA_H

#include "core/types.h"

struct hak_pool_arena {
    uint32_t mib; /* of the SuperSlabs in it */
};

/* The next chunk's MiB, a power of two: init_mb for an empty arena; doubled for each chunk that the arena has room for, at
 * most `levels` times; at most max_mb. */
uint32_t hak_pool_arena_next(const struct hak_pool_arena *arena, uint32_t init_mb, uint32_t max_mb,
                             uint32_t levels);

#endif
