/* HAKMEM_TINY_P0_LOG: one line a batch. */
#ifndef HAK_BATCH_LOG_H
#define HAK_BATCH_LOG_H

#include "core/slab.h"

/* A slab's counters, as a batch finds them. */
struct hak_counters {
    uint32_t used, carved, active;
};

static inline struct hak_counters hak_counters_of(const struct hak_slab *slab) {
    return (struct hak_counters){
        .used = slab->used, .carved = slab->carved, .active = hak_superslab_of(slab)->active};
}

/* One line: where a batch came from, how many blocks, and what it did to the slab's counters, which were `before`. */
void hak_log_batch(const char *what, const struct hak_slab *slab, uint32_t count,
                   struct hak_counters before);

/* So many blocks went home to another heap's slab. */
void hak_log_remote(uint32_t count);

#endif
