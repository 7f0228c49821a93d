/* Builds a heap that has everything in it, to be broken. */
#ifndef HAK_VERIFY_WHOLE_HEAP_H
#define HAK_VERIFY_WHOLE_HEAP_H

#include "by_hand.h"

#include <signal.h>
#include <sys/resource.h>

#include "core/large.h"
#include "verify/audit.h"
#include "verify/hakmem_audit.h"

#define LARGE(granules) (((size_t)(granules) << HAK_GRANULE_SHIFT) - HAK_ALIGNMENT)

static struct hak_slab *full, *partial, *current, *pool_slab; /* full: also has a remote list */
static struct hak_slab *other_full; /* also has a remote list; was notified later */
static void *large_block;           /* live */
static struct hak_large *cached[3]; /* two of one length, one of another length */
static uint32_t run;                /* first granule of the first of two free spans of 5 granules */
static struct hak_heap *idle;       /* the abandoned heap of a thread that has ended */

static void *leave_a_heap(void *unused) {
    (void)unused;
    hak_free(hak_malloc(SIZE));
    idle = hak_thread_heap();
    return NULL;
}

static void *free_some(void *unused) {
    (void)unused;
    release(0, 100);
    release(1400, 1410);
    return NULL;
}

static uint32_t first_granule(const void *large) {
    return hak_large_find(large)->first;
}

/* Uses up the longer free spans. From here on, blocks of 6 granules and more come from the top of
 * the range, one behind the other. */
static void use_up_longer_spans(void) {
    uint32_t top;
    do
        top = hak_range_top();
    while (first_granule(hak_malloc(LARGE(6))) < top);
}

static void build(void) {
    void *runs[4], *pool = hak_malloc(20000);
    for (size_t i = 0; i < TEST_COUNT(runs); i++)
        runs[i] = hak_malloc(LARGE(5));
    run = first_granule(runs[0]);
    hak_free(runs[0]);
    hak_free(runs[2]);
    in_a_thread(leave_a_heap, NULL);
    hak_malloc_trim(0);
    allocate(0, BLOCKS);
    void *to_cache[3];
    use_up_longer_spans();
    for (size_t i = 0; i < TEST_COUNT(to_cache); i++) {
        to_cache[i] = hak_malloc(LARGE(i == 2 ? 7 : 6));
        hak_malloc(LARGE(8)); /* keeps the cached spans apart */
    }
    /* This block is live, and long enough for the record of a SuperSlab in the middle of it. */
    hak_malloc(LARGE(40));
    hak_aligned_alloc(HAK_GRANULE * 4, LARGE(6));
    large_block = runs[1];
    for (size_t i = 0; i < TEST_COUNT(to_cache); i++) {
        cached[i] = hak_large_at(first_granule(to_cache[i]));
        hak_free(to_cache[i]);
    }
    full = slab_of(blocks[0]);
    other_full = slab_of(blocks[1400]);
    pool_slab = slab_of(pool);
    current = hak_thread_heap()->classes[full->class].current;
    for (size_t i = 0; i < BLOCKS; i++)
        if (slab_of(blocks[i]) == current) hak_free(blocks[i]), blocks[i] = NULL;
    in_a_thread(free_some, NULL);
}

#endif
