/* malloc and free. Everything that is not on this screen is rare. */
#ifndef HAK_FAST_H
#define HAK_FAST_H

#include "core/heap.h"
#include "verify/hooks.h"

/* Requests up to here are served by bins; without the pool tier, large blocks serve 8-52 KiB. */
#define HAK_BINNED_MAX (HAK_POOL_TLS_PHASE1 ? HAK_POOL_MAX : HAK_MID_MAX)

/* The rare cases: no heap yet, bin empty or full, large or aligned block, no memory, an error of the program.
 */
HAK_HIDDEN void *hak_malloc_slow(struct hak_heap *heap, size_t size);
HAK_HIDDEN void hak_free_slow(struct hak_heap *heap, void *user);

/* The bin of a live block; not below HAK_BINS if `user` is none. */
HAK_INLINE unsigned hak_bin_of_block(const void *user) {
    unsigned bin = (uint8_t)(hak_header_of(user) - HAK_BIN_FIRST);
    if (HAK_HEADER_CLASSIDX || bin >= HAK_BINS) return bin;
    const struct hak_slab *slab = hak_slab_find(user);
    return slab != NULL ? slab->bin : HAK_BINS;
}

HAK_INLINE void *hak_fast_malloc(size_t size) {
    hak_hook_enter();
    struct hak_heap *heap = hak_heap_tls;
    if (HAK_LIKELY(size <= HAK_MID_MAX) || HAK_LIKELY(size <= HAK_BINNED_MAX)) {
        unsigned bin = hak_bin_of_size(size);
        struct hak_bin *b = &heap->bins[bin];
        struct hak_block *block = b->head;
        /* NULL is out of range too; a wild link is not followed; a header says free, and this class. */
        if (HAK_LIKELY(hak_range_has(block)) &&
            HAK_LIKELY(hak_header_of(block) == HAK_BIN_HEADER_FREE(bin))) {
            HAK_ASSERT(b->count > 0);
            b->head = block->next;
            b->count--;
            hak_header_set(block, HAK_BIN_HEADER(bin));
            hak_hook_malloc(block, size);
            hak_hook_leave();
            return block;
        }
    }
    return hak_malloc_slow(heap, size);
}

HAK_INLINE void hak_fast_free(void *user) {
    hak_hook_enter();
    struct hak_heap *heap = hak_heap_tls;
    if (HAK_LIKELY(hak_range_has(user))) {
        unsigned bin = hak_bin_of_block(user);
        if (HAK_LIKELY(bin < HAK_BINS)) {
            struct hak_bin *b = &heap->bins[bin];
            if (HAK_LIKELY(b->count < b->cap)) {
                struct hak_block *block = user;
                hak_hook_free(user);
                hak_header_set(user, HAK_BIN_HEADER_FREE(bin));
                block->next = b->head;
                b->head = block;
                b->count++;
                HAK_ASSERT(b->count <= b->cap);
                hak_hook_leave();
                return;
            }
        }
    }
    hak_free_slow(heap, user);
}

#endif
