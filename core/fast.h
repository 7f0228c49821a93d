/* malloc and free. All that is not on this screen is rare.
 *
 * A thread's heap has a bin for each class: a list of free blocks. malloc takes the first block
 * of a bin, and free puts one in front. There is no lock, no atomic instruction, and no access
 * to the metadata of slabs or of other threads. Three things keep the paths short:
 *
 *   the header byte   lies before each block and names its class. It is the index of both arrays,
 *                     `heads` and `free_capacity`, so no index has to be computed from it.
 *   free_capacity     is the number of blocks that a free may still push. It is 0 for each of the
 *                     208 bytes that are no live block's header. So one test says that the block is
 *                     live, has a size class, and that the thread cache has space for it.
 *   announced         is the number of mallocs - frees that the thread has begun. With the sum of
 *                     free_capacity it tells another thread whether this one is at work on its
 *                     heap. So another thread can empty the bins of a thread that sleeps, and each
 *                     malloc and free pays one addition for that (announced.h).
 *
 * A thread without a heap, or whose heap is seized, points to a heap whose bins are all empty
 * and full. So these cases need no test here. */
#ifndef HAK_FAST_H
#define HAK_FAST_H

#include "core/enter.h"
#include "core/hooks.h"

/* Requests up to here are served by bins. Without the pool tier, large blocks serve what is
 * above the mid tier. */
#define HAK_BINNED_MAX (HAK_POOL_TLS_PHASE1 ? HAK_POOL_MAX : HAK_MID_MAX)

/* The rare cases: no heap yet or a seized one, an empty or full bin, a large or aligned block,
 * no memory, an error of the program. */
HAK_HIDDEN void *hak_malloc_slow(size_t size);
HAK_HIDDEN void hak_free_slow(void *user);

/* The header byte of a live block. If `user` is no live block of a bin: a byte for which no heap
 * has free capacity. */
HAK_INLINE uint8_t hak_live_header_of(const void *user) {
    uint8_t header = hak_header_of(user);
    if (HAK_HEADER_CLASSIDX) return header;
    const struct hak_slab *slab = hak_slab_find(user);
    bool is_bins = (uint8_t)(header - HAK_CLASS_HEADER_FIRST) < HAK_CLASSES;
    return slab != NULL && is_bins ? HAK_CLASS_HEADER(slab->class) : HAK_HEADER_LARGE;
}

/* The bin of a live block; not below HAK_CLASSES if `user` is no block of a bin. */
HAK_INLINE unsigned hak_class_of_block(const void *user) {
    return (uint8_t)(hak_live_header_of(user) - HAK_CLASS_HEADER_FIRST);
}

HAK_INLINE void *hak_fast_malloc(size_t size) {
    struct hak_heap *heap = hak_enter(+1);
    if (HAK_LIKELY(size <= HAK_MID_MAX) || HAK_LIKELY(size <= HAK_BINNED_MAX)) {
        size_t header = hak_header_of_size(size);
        struct hak_block *block = heap->heads[header];
        /* The range excludes NULL and wild links. The header byte must say: free, and of this
         * class. */
        if (HAK_LIKELY(hak_range_has(block)) &&
            HAK_LIKELY(hak_header_of(block) == (uint8_t)(header ^ HAK_HEADER_LIVE_BIT))) {
            hak_bin_pop(heap, header, block);
            hak_hook_malloc(block, size);
            hak_bin_popped(heap, header);
            hak_hook_leave();
            return block;
        }
    }
    return hak_malloc_slow(size);
}

HAK_INLINE void hak_fast_free(void *user) {
    struct hak_heap *heap = hak_enter(-1u);
    if (HAK_LIKELY(hak_range_has(user))) {
        size_t header = hak_live_header_of(user);
        if (HAK_LIKELY(!hak_bin_is_full(heap, header))) {
            hak_hook_free(user);
            hak_bin_push(heap, header, user);
            hak_hook_leave();
            return;
        }
    }
    hak_free_slow(user);
}

#endif
