/* What a heap has: its slabs, and the SuperSlabs that they lie in. All of it for the thread that rules the heap. */
#ifndef HAK_HEAP_SLABS_H
#define HAK_HEAP_SLABS_H

#include "core/heap.h"

/* Puts a slab that has free blocks to the front of its heap's partial list; takes it out. */
void hak_heap_partial_push(struct hak_heap *heap, struct hak_slab *slab);
void hak_heap_partial_remove(struct hak_heap *heap, struct hak_slab *slab);

/* A new slab of `bin` from a free unit of `heap`, or NULL. */
struct hak_slab *hak_heap_new_slab(struct hak_heap *heap, unsigned bin);

/* One more SuperSlab for slabs of `bin`; false: no memory. */
bool hak_heap_grow(struct hak_heap *heap, unsigned bin);

/* Gives up SuperSlabs in which there is no slab, such as the pool arena's first that every heap begins with. */
void hak_heap_release_empty(struct hak_heap *heap);

/* Returns an empty slab, and its SuperSlab if that is empty then. */
void hak_heap_drop_slab(struct hak_heap *heap, struct hak_slab *slab, uint32_t now);

/* Gives the memory of free units back to the system, if it has been free for so long; returns the bytes. */
size_t hak_heap_purge(struct hak_heap *heap, uint32_t now, uint32_t older_than_ms);
/* Has the system give memory to what the heap's slabs and SuperSlabs have not used yet. The bins are empty. It is done once,
 * until a tick finds that memory is no longer kept: what a trim has taken is not to come back unused. */
void hak_heap_touch(struct hak_heap *heap);
/* hak_heap_purge in small steps, until `ends` says so of `of`; NULL: to the end. */
size_t hak_heap_purge_while(struct hak_heap *heap, uint32_t now, uint32_t older_than_ms,
                            bool (*ends)(const struct hak_heap *of), const struct hak_heap *of);

/* Keeps the sum of `used` for statistics; `change` blocks left (+) or came back to (-) a slab. */
static inline void hak_used_shown_add(struct hak_slab *slab, uint32_t change) {
    _Atomic uint32_t *sum = &hak_heap_of_home(slab->home)->classes[slab->class].used_shown;
    atomic_store_explicit(sum, atomic_load_explicit(sum, memory_order_relaxed) + change,
                          memory_order_relaxed);
}

#endif
