/* Pool TLS arena: where a heap's next pool chunk comes from.
 *
 * A heap's pool blocks (8-52 KiB) are cut from chunks that only its thread carves. The first chunk is small,
 * for most threads need few such blocks; each further one doubles, up to a limit, so that a thread that needs
 * many asks the system seldom. A chunk is a SuperSlab with larger units: refill, flush, remote frees and
 * release are the same code as for every other slab. */
#ifndef HAK_POOL_ARENA_H
#define HAK_POOL_ARENA_H

#include "core/superslab.h"

struct hak_pool_arena {
    uint32_t chunks; /* that the heap owns now: the growth level */
};

/* The next chunk's log2 size: init_mb << chunks, at most `levels` doublings, at most max_mb. */
unsigned hak_pool_arena_shift(const struct hak_pool_arena *arena, uint32_t init_mb, uint32_t max_mb,
                              uint32_t levels);

#endif
