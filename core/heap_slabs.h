/* The slabs of a heap, and the SuperSlabs that they lie in. Only the thread of the heap's owner
 * calls these functions, or a thread that has seized the owner. */
#ifndef HAK_HEAP_SLABS_H
#define HAK_HEAP_SLABS_H

#include "core/heap.h"

/* Puts a slab that has free blocks at the front of its heap's partial list; takes a slab out. */
void hak_heap_partial_push(struct hak_heap *heap, struct hak_slab *slab);
void hak_heap_partial_remove(struct hak_heap *heap, struct hak_slab *slab);

/* A new slab of class `bin` in free units of the heap's SuperSlabs; NULL: there are not enough
 * adjacent ones, or no memory for them. */
struct hak_slab *hak_heap_new_slab(struct hak_heap *heap, unsigned bin);

/* Gives the heap one more SuperSlab for slabs of class `bin`; false: no memory. */
bool hak_heap_grow(struct hak_heap *heap, unsigned bin);

/* Gives up all SuperSlabs of the heap in which there is no slab. */
void hak_heap_drop_empty(struct hak_heap *heap);

/* Gives up an empty slab, and its SuperSlab if it has no other slab; the heap may keep that one as
 * its spare. `now`: milliseconds. */
void hak_heap_drop_slab(struct hak_heap *heap, struct hak_slab *slab, uint32_t now);

/* Gives the memory of units that have been free for `older_than_ms` back to the system; returns the
 * bytes. See hak_superslab_purge. */
size_t hak_heap_purge(struct hak_heap *heap, uint32_t now, uint32_t older_than_ms);
/* While memory is kept: has the system give memory to the parts of the heap's slabs and SuperSlabs
 * that are not used yet. The bins must be empty. Does nothing if it was done before and no tick has
 * since found that memory is no longer kept: memory that a trim has given back should not return
 * before its use. */
void hak_heap_populate(struct hak_heap *heap);
/* As hak_heap_purge, in small steps, and stops when should_stop(of) is true. `should_stop` NULL: it
 * does not stop early. */
size_t hak_heap_purge_until(struct hak_heap *heap, uint32_t now, uint32_t older_than_ms,
                            bool (*should_stop)(const struct hak_heap *of),
                            const struct hak_heap *of);

/* Gives the memory of whole free pages inside of the heap's partial slabs back (slab_pages.h);
 * returns the bytes. `should_stop`: as above; a step is one slab. */
size_t hak_heap_purge_pages(struct hak_heap *heap, bool (*should_stop)(const struct hak_heap *of),
                            const struct hak_heap *of);

/* Adds to the sum of `used` for statistics: `change` blocks left the slab (+) or came back (-). */
static inline void hak_used_shown_add(struct hak_slab *slab, uint32_t change) {
    _Atomic uint32_t *sum = &hak_heap_of_home(slab->home)->classes[slab->class].used_shown;
    atomic_store_explicit(sum, atomic_load_explicit(sum, memory_order_relaxed) + change,
                          memory_order_relaxed);
}

#endif
