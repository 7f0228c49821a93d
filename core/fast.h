/* malloc and free. Everything that is not on this screen is rare.
 *
 * A thread's heap has a list of free blocks of each class. malloc takes the first block of a list, free puts one in front: no
 * lock, no atomic instruction, no block of another thread's. Three things keep that short:
 *
 *   the header byte   before each block says which class it is of, and is the index of both arrays, `heads` and `free_capacity`
 *   free_capacity              is what free may still push; it is 0 for each byte that no live block has, so one test of it says that the
 *                     block is live, of a class, and that its list is not full
 *   announced         counts what the thread has begun. With the sum of `free_capacity` it tells another thread whether this one is at
 *                     work on its heap: who sleeps has its lists emptied, and pays an addition a call for that (announced.h)
 *
 * A thread without a heap, or whose heap another thread has just now, shows one whose lists are all empty and full. */
#ifndef HAK_FAST_H
#define HAK_FAST_H

#include "core/enter.h"
#include "core/hooks.h"

/* Requests up to here are served by bins; without the pool tier, large blocks serve 8-52 KiB. */
#define HAK_BINNED_MAX (HAK_POOL_TLS_PHASE1 ? HAK_POOL_MAX : HAK_MID_MAX)

/* The rare cases: no heap yet or a seized one, bin empty or full, large or aligned block, no memory, an error of the program.
 */
HAK_HIDDEN void *hak_malloc_slow(size_t size);
HAK_HIDDEN void hak_free_slow(void *user);

/* The header byte of a live block; if `user` is none of a bin, one for which no heap has free_capacity. */
HAK_INLINE uint8_t hak_live_header_of(const void *user) {
    uint8_t header = hak_header_of(user);
    if (HAK_HEADER_CLASSIDX) return header;
    const struct hak_slab *slab = hak_slab_find(user);
    bool is_bins = (uint8_t)(header - HAK_CLASS_HEADER_FIRST) < HAK_CLASSES;
    return slab != NULL && is_bins ? HAK_CLASS_HEADER(slab->class) : HAK_HEADER_LARGE;
}

/* The bin of a live block; not below HAK_CLASSES if `user` is none. */
HAK_INLINE unsigned hak_class_of_block(const void *user) {
    return (uint8_t)(hak_live_header_of(user) - HAK_CLASS_HEADER_FIRST);
}

HAK_INLINE void *hak_fast_malloc(size_t size) {
    struct hak_heap *heap = hak_enter(+1);
    if (HAK_LIKELY(size <= HAK_MID_MAX) || HAK_LIKELY(size <= HAK_BINNED_MAX)) {
        size_t header = hak_header_of_size(size);
        struct hak_block *block = heap->heads[header];
        /* NULL is out of range too; a wild link is not followed; a header says free, and this class. */
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
