/* The slow paths of malloc and free, and aligned, zeroed and large blocks. */
#include "core/slow.h"

#include <errno.h>
#include <string.h>

#include "core/abort.h"
#include "core/enter.h"
#include "core/flush.h"
#include "core/hooks.h"
#include "core/large.h"
#include "core/refill.h"
#include "core/report.h"
#include "core/retire.h"
#include "core/thread.h"

/* Pops the first block of a bin, which is refilled first if it is empty; NULL: no memory. */
static void *bin_pop(struct hak_heap *heap, unsigned bin, size_t size) {
    if (hak_bin_first(heap, bin) == NULL) {
        hak_tick_if_due(heap);
        if (hak_bin_first(heap, bin) == NULL && !hak_refill(heap, bin)) return NULL;
    }
    struct hak_block *block = hak_bin_first(heap, bin);
    if (!hak_range_has(block) || hak_header_of(block) != HAK_CLASS_HEADER_FREE(bin))
        hak_report_bad_list("malloc", block, bin);
    HAK_CHECK(hak_bin_count(heap, bin) > 0);
    hak_announce(+1);
    hak_bin_pop(heap, HAK_CLASS_HEADER(bin), block);
    hak_hook_malloc(block, size);
    hak_bin_popped(heap, HAK_CLASS_HEADER(bin));
    return block;
}

/* *is_zero: whether a large block reads as zero; not set for blocks of bins. */
static void *alloc_any(struct hak_heap *heap, size_t size, size_t align, bool *is_zero) {
    if (size <= HAK_BINNED_MAX && align <= HAK_ALIGNMENT)
        return bin_pop(heap, hak_class_of_size(size), size);
    hak_tick_if_due(heap);
    if (hak_range_keeps()) hak_flush_for_kept_span(heap, hak_granules_for(size) + 1, 1);
    hak_slow_large(true);
    void *user = hak_large_alloc(size, align, is_zero);
    hak_slow_large(false);
    if (user != NULL) hak_hook_large_begun(user, size, *is_zero);
    return user;
}

/* Allocates a block of any kind, for a thread that has no heap yet, has one, or has none any
 * more. */
static HAK_NOINLINE void *alloc_slow(struct hak_heap *heap, size_t size, size_t align,
                                     bool *is_zero) {
    if (heap == &hak_heap_none) heap = hak_heap_begin_thread();
    bool borrowed = false;
    if (heap == &hak_heap_gone) heap = hak_heap_begin_after_end(&borrowed);
    void *user = NULL;
    if (heap != NULL) {
        user = alloc_any(heap, size, align, is_zero);
        /* Address space or memory is short. What is cached in another shape may serve, once it
         * is released. */
        if (user == NULL && size >> HAK_GRANULE_SHIFT < hak_range.granules &&
            hak_purge(heap, HAK_PURGE_NO_MEMORY, 0) > 0)
            user = alloc_any(heap, size, align, is_zero);
        if (borrowed) hak_heap_retire(heap);
    }
    if (user == NULL) errno = ENOMEM;
    return user;
}

/* The fast path has called hak_hook_enter (core/hooks.h). */
void *hak_malloc_slow(size_t size) {
    bool is_zero;
    void *user = alloc_slow(hak_slow_enter(+1), size, HAK_ALIGNMENT, &is_zero);
    hak_slow_leave();
    hak_hook_leave();
    return user;
}

#define PURGED_MIN                                                                                 \
    ((size_t)32                                                                                    \
     << 20) /* bytes: a program that asks for so many zeroes writes to few, or waits for faults */

/* Zeroes a block that held something else. Of a long block the whole pages are purged instead,
 * because nobody knows how many of them the program will touch; but not while memory is kept. */
static void *block_zero(char *user, size_t size) {
    const uintptr_t page = hak_os_page_size();
    char *first = (char *)hak_round_up((uintptr_t)user, page),
         *end = (char *)((uintptr_t)(user + size) & ~(page - 1));
    if (size < PURGED_MIN || hak_range_keeps() ||
        !hak_range_purge_part(first, (size_t)(end - first)))
        return memset(user, 0, size);
    memset(user, 0, (size_t)(first - user));
    memset(end, 0, (size_t)(user + size - end));
    return user;
}

/* memset is called after the allocator has been left, because another library may wrap it. */
static void *alloc_beyond_bins(size_t size, size_t align, bool zero) {
    bool is_zero = false;
    hak_hook_enter();
    void *user = alloc_slow(hak_slow_enter(0), size, align, &is_zero);
    hak_slow_leave();
    hak_hook_leave();
    return user == NULL || !zero || is_zero ? user : block_zero(user, size);
}

void *hak_alloc_zeroed(size_t size) {
    if (size > HAK_BINNED_MAX) return alloc_beyond_bins(size, HAK_ALIGNMENT, true);
    void *user = hak_fast_malloc(size);
    return user != NULL ? memset(user, 0, size) : NULL;
}

void *hak_alloc_aligned(size_t align, size_t size) {
    HAK_CHECK(hak_is_power_of_two(align));
    if (align <= HAK_ALIGNMENT) return hak_fast_malloc(size);
    size_t most;
    if (__builtin_add_overflow(size, align - HAK_ALIGNMENT, &most) || most > HAK_BINNED_MAX)
        return alloc_beyond_bins(size, align, false);
    char *block = hak_fast_malloc(most);
    if (block == NULL) return NULL;
    char *user = (char *)hak_round_up((uintptr_t)block, align);
    if (user == block) return block;
    hak_hook_enter();
    hak_header_set(block, HAK_HEADER_CONTAINER);
    hak_header_set(user, HAK_HEADER_ALIGNED);
    hak_hook_aligned(block, user, size);
    hak_hook_leave();
    return user;
}

/* The block around a live aligned pointer; NULL if `user` is no such pointer. */
static struct hak_block *container_of(const void *user, const struct hak_slab **slab_out) {
    const struct hak_slab *slab = hak_slab_find(user);
    if (slab == NULL) return NULL;
    uint32_t index = hak_slab_index(slab, user);
    if (index >= slab->capacity) return NULL;
    struct hak_block *block = hak_slab_block(slab, index);
    if ((const void *)block >= user || hak_header_of(block) != HAK_HEADER_CONTAINER) return NULL;
    *slab_out = slab;
    return block;
}

static void free_binned(struct hak_heap *heap, void *user, unsigned bin) {
    if (heap == &hak_heap_none) heap = hak_heap_begin_thread();
    if (heap == NULL || heap == &hak_heap_gone) {
        if (HAK_THREAD.failed > 0) hak_abort_look_again();
        hak_free_without_heap(user, bin);
        return;
    }
    if (hak_bin_free_capacity(heap, HAK_CLASS_HEADER(bin)) == 0) {
        hak_tick_if_due(heap);
        if (hak_bin_free_capacity(heap, HAK_CLASS_HEADER(bin)) == 0) hak_flush_full(heap, bin);
    }
    hak_hook_free(user);
    hak_announce(-1u);
    hak_bin_push(heap, HAK_CLASS_HEADER(bin), user);
}

/* The budget after mallopt has set M_MMAP_THRESHOLD: it depends on the block's size. `user` may
 * be no block, and another thread may be freeing it. */
HAK_COLD static size_t budget_by_size(const void *user, const struct hak_policy *policy) {
    const struct hak_large *large = hak_large_find(user);
    return hak_policy_budget(policy, large != NULL ? large->size : 0);
}

static inline size_t budget_of(const void *user) {
    const struct hak_policy *policy = hak_policy();
    if (HAK_UNLIKELY(policy->uncached_from != UINT32_MAX)) return budget_by_size(user, policy);
    return hak_policy_cache_bytes(policy);
}

static void free_large(struct hak_heap *heap, void *user) {
    size_t budget = budget_of(user);
    if (HAK_AUDIT && hak_large_find(user) != NULL) hak_hook_large_ended(user);
    hak_slow_large(true);
    bool is_large = hak_large_free(user, budget, hak_os_now_ms());
    hak_slow_large(false);
    if (!is_large) hak_report_bad_pointer("free", user);
    if (hak_heap_is_real(heap))
        hak_tick_if_due(heap);
    else if (HAK_THREAD.failed > 0)
        hak_abort_look_again();
}

static void free_slow(struct hak_heap *heap, void *user) {
    if (user == NULL) return;
    if (!hak_range_has(user)) hak_report_bad_pointer("free", user);
    unsigned bin = hak_class_of_block(user);
    uint8_t header = hak_header_of(user);
    if (bin < HAK_CLASSES) {
        free_binned(heap, user, bin);
    } else if (header == HAK_HEADER_LARGE) {
        free_large(heap, user);
    } else {
        hak_report_bad_pointer("free", user);
    }
}

/* The block around an aligned pointer becomes an ordinary block. If two threads do that at once,
 * its header becomes that of no live block, as when two threads free an ordinary block at once. */
static struct hak_block *unwrap(void *user) {
    const struct hak_slab *slab;
    struct hak_block *block = container_of(user, &slab);
    if (block == NULL) hak_report_bad_pointer("free", user);
    hak_header_set(user, HAK_HEADER_ALIGNED & ~HAK_HEADER_LIVE_BIT);
    hak_header_set(block,
                   hak_header_of(block) ^ HAK_HEADER_CONTAINER ^ HAK_CLASS_HEADER(slab->class));
    hak_hook_unaligned(block, user);
    return block;
}

void hak_free_slow(void *user) {
    if (hak_range_has(user) && hak_header_of(user) == HAK_HEADER_ALIGNED) {
        /* takes the announcement back: the free of the block around `user` is announced instead */
        hak_announce(+1);
        hak_fast_free(unwrap(user));
    } else {
        free_slow(hak_slow_enter(-1u), user);
        hak_slow_leave();
    }
    hak_hook_leave();
}

/* The bin of a live block, proved by its slab; not below HAK_CLASSES if `user` is no live block
 * of a bin. */
static inline unsigned bin_of_live(const void *user) {
    if (!hak_range_has(user)) return HAK_CLASSES;
    unsigned bin = (uint8_t)(hak_header_of(user) - HAK_CLASS_HEADER_FIRST);
    const struct hak_slab *slab = hak_slab_find(user);
    return slab != NULL && slab->class == bin && hak_slab_has(slab, user) ? bin : HAK_CLASSES;
}

/* The bytes from `user` to the end of its block. The class comes from the header alone: a caller
 * that copies so many bytes need not wait for the slab's page map entry. */
static inline size_t usable_in_bin(unsigned bin, const struct hak_block *block, const void *user) {
    size_t room = hak_classes[bin].stride - 1 - (size_t)((const char *)user - (const char *)block);
    return hak_hook_usable(block, user, room);
}

/* The usable bytes of a live block that is large, or aligned inside a block of a bin. */
static size_t usable_beyond_bins(const char *operation, const void *user) {
    uint8_t header = hak_range_has(user) ? hak_header_of(user) : 0;
    if (header == HAK_HEADER_LARGE) {
        const struct hak_large *large = hak_large_find(user);
        if (large != NULL) return hak_hook_usable(user, user, hak_large_usable(large));
    } else if (header == HAK_HEADER_ALIGNED) {
        const struct hak_slab *slab;
        const struct hak_block *block = container_of(user, &slab);
        if (block != NULL) return usable_in_bin(slab->class, block, user);
    }
    hak_report_bad_pointer(operation, user);
}

size_t hak_usable_size(const char *operation, const void *user) {
    hak_hook_enter();
    unsigned bin = bin_of_live(user);
    size_t usable =
        bin < HAK_CLASSES ? usable_in_bin(bin, user, user) : usable_beyond_bins(operation, user);
    hak_hook_leave();
    return usable;
}

/* Moves the contents to a new block. If there is no memory: NULL, and the old block stays; but
 * if the block was to shrink, it stays and is the result. */
static HAK_NOINLINE void *alloc_and_move(void *user, size_t size, size_t usable) {
    const bool shrinks = size <= usable;
    const int saved = shrinks ? errno : 0;
    void *new = hak_fast_malloc(size);
    if (new != NULL) {
        memcpy(new, user, shrinks ? size : usable);
        hak_fast_free(user);
    } else if (shrinks) {
        errno = saved;
        if (hak_class_of_block(user) < HAK_CLASSES) hak_hook_resize(user, size);
        new = user;
    }
    return new;
}

static HAK_NOINLINE void *realloc_beyond_bins(void *user, size_t size) {
    size_t usable = usable_beyond_bins("realloc", user);
    if (hak_header_of(user) == HAK_HEADER_ALIGNED) {
        if (size <= usable && size >= usable / 2) return user;
    } else if (hak_header_of(user) == HAK_HEADER_LARGE && size > HAK_BINNED_MAX) {
        size_t old_size = hak_large_find(user)->size;
        hak_slow_enter(0); /* so that a handler that forks sees that the thread may hold a lock */
        hak_slow_large(true);
        hak_hook_large_resizing(user, size);
        void *resized = hak_large_resize(user, size);
        const bool copies = resized == HAK_LARGE_COPY;
        hak_hook_large_resized(user, copies ? user : resized, old_size, copies ? old_size : size);
        hak_slow_large(false);
        hak_slow_leave();
        if (!copies) return resized;
    }
    return alloc_and_move(user, size, usable);
}

static inline void *realloc_block(void *user, size_t size) {
    unsigned bin = bin_of_live(user);
    if (bin >= HAK_CLASSES) return realloc_beyond_bins(user, size);
    size_t usable = usable_in_bin(bin, user, user);
    /* A block stays only in the class that malloc(size) would give. */
    bool stays = size <= HAK_BINNED_MAX && bin == hak_class_of_size(size);
    if (!stays) return alloc_and_move(user, size, usable);
    hak_hook_resize(user, size);
    return user;
}

void *hak_realloc_block(void *user, size_t size) {
    hak_hook_enter();
    void *again = realloc_block(user, size);
    hak_hook_leave();
    return again;
}

size_t hak_purge_now(enum hak_purge_reason reason, size_t pad) {
    hak_hook_enter();
    size_t bytes = hak_purge(hak_slow_enter(0), reason, pad);
    hak_slow_leave();
    hak_hook_leave();
    return bytes;
}

void hak_keep_now(void) {
    hak_hook_enter();
    hak_keep(hak_slow_enter(0));
    hak_slow_leave();
    hak_hook_leave();
}
