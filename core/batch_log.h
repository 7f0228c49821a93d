/* HAKMEM_TINY_P0_LOG: one line on stderr for each batch. */
#ifndef HAK_BATCH_LOG_H
#define HAK_BATCH_LOG_H

#include "core/slab.h"

/* A slab's counters before or after a batch. */
struct hak_counters {
    uint32_t used, carved, active;
};

static inline struct hak_counters hak_counters_of(const struct hak_slab *slab) {
    return (struct hak_counters){
        .used = slab->used, .carved = slab->carved, .active = hak_superslab_of(slab)->active};
}

/* Writes one line: where the batch came from, its number of blocks, and what it did to the
 * slab's counters, which were `before`. */
void hak_log_batch(const char *what, const struct hak_slab *slab, uint32_t count,
                   struct hak_counters before);

/* Writes one line: `count` blocks went home to a slab of another heap. */
void hak_log_remote(uint32_t count);

#endif
