/* Pool TLS arena: where a heap's next pool slabs come from.
 *
 * A heap's pool blocks (8-52 KiB) are cut from chunks that only its thread carves. The first chunk is small,
 * for most threads need few such blocks; each further one doubles, up to a limit, so that a thread that needs
 * many asks the system seldom. A chunk is one or more SuperSlabs, of which the heap owns those that it uses: refill,
 * flush, remote frees and release are the same code as for every other slab. */
#ifndef HAK_POOL_ARENA_H
#define HAK_POOL_ARENA_H

#include "core/superslab.h"

struct hak_pool_arena {
    uint32_t mib; /* of the SuperSlabs in it */
};

/* The next chunk's MiB, a power of two: init_mb for an empty arena; doubled for each chunk that the arena has room for, at
 * most `levels` times; at most max_mb. */
uint32_t hak_pool_arena_next(const struct hak_pool_arena *arena, uint32_t init_mb, uint32_t max_mb,
                             uint32_t levels);

#endif
