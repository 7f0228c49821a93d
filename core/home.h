/* The part of a heap that other threads touch. Homes are never freed. A slab keeps its home until
 * the slab is destroyed, even if the home gets another owner. */
#ifndef HAK_HOME_H
#define HAK_HOME_H

#include "core/types.h"

struct hak_slab;
struct hak_heap;

struct hak_home {
    _Atomic(struct hak_slab *) notified; /* stack of slabs with a remote list */
    _Atomic(struct hak_heap *) owner;    /* the heap whose thread works for this home; NULL: none */
};

/* Any thread. The present owner; NULL: none. Another thread may change it at any time. */
static inline struct hak_heap *hak_home_owner(const struct hak_home *home) {
    return atomic_load_explicit(&home->owner, memory_order_relaxed);
}

/* Any thread. The answer is reliable if `heap` is the caller's: no other thread makes this heap an
 * owner, or ends its ownership. */
static inline bool hak_home_owned_by(const struct hak_home *home, const struct hak_heap *heap) {
    return hak_home_owner(home) == heap;
}

static inline void hak_home_set_owner(struct hak_home *home, struct hak_heap *heap) {
    /* relaxed: the heaps' lock orders what the former owner did before what the next one does */
    atomic_store_explicit(&home->owner, heap, memory_order_relaxed);
}

#endif
