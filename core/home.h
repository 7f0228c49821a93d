/* The part of a heap that other threads touch. Homes are never freed, and a slab's home never changes, whichever thread rules
 * the home. */
#ifndef HAK_HOME_H
#define HAK_HOME_H

#include "core/types.h"

struct hak_slab;
struct hak_heap;

struct hak_home {
    _Atomic(struct hak_slab *) notified; /* stack of slabs with a remote list */
    _Atomic(struct hak_heap *) owner;    /* the heap whose thread works for this home; NULL: none */
};

/* Any thread. The heap whose thread works for this home just now; NULL: none. */
static inline struct hak_heap *hak_home_owner(const struct hak_home *home) {
    return atomic_load_explicit(&home->owner, memory_order_relaxed);
}

/* Any thread. Only the thread of `heap` sets or clears its own name here, so it is never wrong about itself. */
static inline bool hak_home_owned_by(const struct hak_home *home, const struct hak_heap *heap) {
    return hak_home_owner(home) == heap;
}

static inline void hak_home_set_owner(struct hak_home *home, struct hak_heap *heap) {
    atomic_store_explicit(&home->owner, heap,
                          memory_order_relaxed); /* handed over under the heaps' lock */
}

#endif
