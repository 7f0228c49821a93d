/* Breaks what slabs are made of: blocks, lists, slabs, notifications, SuperSlabs. */
#ifndef HAK_VERIFY_BREAK_SLABS_H
#define HAK_VERIFY_BREAK_SLABS_H

#include "whole_heap.h"

#include "core/remote.h"
#include "core/superslab.h"

/* ---- blocks and their lists ------------------------------------------------------------------ */

static void list_leaves_the_range(void) {
    *list_head() = (struct hak_block *)16;
}

static void list_enters_large_block(void) {
    *list_head() = large_block;
}

static void freelist_enters_another_slab(void) {
    full->freelist = blocks[1500];
}

static void list_enters_another_class(void) {
    *list_head() = hak_malloc(200);
}

static void list_enters_the_middle_of_a_block(void) {
    *list_head() = (struct hak_block *)((char *)blocks[5] + 16);
}

static void list_enters_uncarved_memory(void) {
    const struct hak_slab *slab = slab_of(hak_malloc(600));
    hak_thread_heap()->heads[HAK_CLASS_HEADER(slab->class)] = hak_slab_block(slab, slab->carved);
}

static void listed_header_overwritten(void) {
    hak_header_set(*list_head(), 0x11);
}

static void list_is_a_circle(void) {
    (*list_head())->next->next = *list_head();
}

static void count_too_high(void) {
    list_count_add(1);
}

static void live_header_says_free(void) {
    hak_header_set(blocks[1200], HAK_CLASS_HEADER_FREE(full->class));
}

/* ---- slabs ----------------------------------------------------------------------------------- */

static void carved_above_capacity(void) {
    full->capacity--;
}

static void used_above_carved(void) {
    full->used++;
}

static void used_below_carved(void) {
    full->used--;
}

static void capacity_too_high(void) {
    full->capacity++;
}

static void remote_count_too_high(void) {
    atomic_fetch_add(&full->remote, 1);
}

static void remote_count_above_used(void) {
    full->used = 50;
}

static void tail_without_kind(void) {
    hak_kind_set(hak_slab_first_granule(pool_slab) + 1, HAK_KIND_NONE);
}

static void tail_leads_elsewhere(void) {
    (pool_slab + 1)->granules_to_first = 0;
}

static void slab_in_another_superslab(void) {
    full->superslab_first += 32;
}

static void slab_in_another_unit(void) {
    full->unit++;
}

static void slab_of_another_home(void) {
    allocate(0, BLOCKS); /* the slab that was current is full now */
    CHECK(current->state == HAK_SLAB_UNLISTED, "state %d", current->state);
    current->home = &idle->home;
}

static void used_shown_too_high(void) {
    atomic_fetch_add(&hak_thread_heap()->classes[full->class].used_shown, 1);
}

/* ---- a heap's slabs -------------------------------------------------------------------------- */

static struct hak_heap_class *class_of_blocks(void) {
    return &hak_thread_heap()->classes[full->class];
}

/* Frees blocks of a full slab, which becomes partial. */
static void make_partial(void) {
    release_to_slabs(1450, 1460);
    partial = class_of_blocks()->partial;
    CHECK(partial == other_full && partial->next == NULL, "another slab is partial");
}

static void partial_slab_says_full(void) {
    make_partial();
    partial->state = HAK_SLAB_UNLISTED;
}

static void partial_slab_of_another_class(void) {
    make_partial();
    hak_thread_heap()->classes[full->class + 1].partial = partial;
}

static void partial_slab_of_another_home(void) {
    make_partial();
    partial->home = &idle->home;
}

static void partial_slab_without_free_blocks(void) {
    make_partial();
    partial->used = partial->capacity;
}

static void partial_slab_with_wrong_back_link(void) {
    make_partial();
    partial->prev = partial;
}

static void partial_slab_lost(void) {
    make_partial();
    class_of_blocks()->partial = NULL;
}

static void partial_slab_lost_as_full(void) {
    partial_slab_lost();
    partial->state = HAK_SLAB_UNLISTED;
}

static void current_slab_says_partial(void) {
    current->state = HAK_SLAB_PARTIAL;
}

static void current_slab_of_another_class(void) {
    hak_thread_heap()->classes[full->class + 1].current = current;
}

static void current_slab_of_another_thread(void) {
    hak_home_set_owner(&hak_thread_heap()->home, idle);
}

static void current_slab_lost(void) {
    full->state = HAK_SLAB_CURRENT;
}

/* ---- notifications --------------------------------------------------------------------------- */

static _Atomic(struct hak_slab *) *notified(void) {
    return &hak_thread_heap()->home.notified;
}

static void notification_lost(void) {
    atomic_store(notified(), NULL);
}

static void notification_too_early(void) {
    full = slab_of(hak_malloc(5000));
    hak_home_notify(&hak_thread_heap()->home, full);
}

static void notification_doubled(void) {
    full->notify_next = atomic_load(notified());
    CHECK(full->notify_next == other_full && other_full->notify_next == full,
          "order of notifications");
}

static void notification_of_no_slab(void) {
    atomic_store(notified(), (struct hak_slab *)hak_map_entry(first_granule(large_block)));
}

static void notification_elsewhere(void) {
    atomic_store(&idle->home.notified, atomic_load(notified()));
    atomic_store(notified(), NULL);
}

/* ---- SuperSlabs ------------------------------------------------------------------------------ */

static struct hak_superslab *superslab(void) {
    return hak_superslab_of(full);
}

static struct hak_home nobody;

static struct hak_superslab *superslab_of_nobody(void) {
    struct hak_superslab *ss = hak_superslab_create_from_range(&nobody, HAK_SUPERSLAB_SHIFT, false);
    CHECK(ss != NULL, "no SuperSlab");
    return ss;
}

static void superslab_with_another_record(void) {
    superslab()->first += 32;
}

static void superslabs_too_high(void) {
    hak_thread_heap()->superslabs++;
}

static void arena_too_large(void) {
    hak_thread_heap()->arena.mib++;
}

static void open_superslab_lost(void) {
    hak_thread_heap()->open[0] = NULL;
}

static void open_superslab_with_wrong_back_link(void) {
    superslab()->prev = superslab();
}

static void open_superslab_of_nobody(void) {
    superslab()->next = superslab_of_nobody();
    superslab()->next->prev = superslab();
}

static void unit_beyond_what_is_there(void) {
    superslab()->committed_units = 0;
}

static void open_superslab_without_free_units(void) {
    superslab()->free_mask = 0;
}

static void open_superslab_of_another_kind(void) {
    hak_thread_heap()->open[0] = hak_thread_heap()->open[1];
}

static void slab_hides_purged_pages(void) {
    superslab()->purged_pages[full->unit] = 1;
}

static void free_unit_with_purged_pages(void) {
    superslab()->purged_pages[__builtin_ctz(superslab()->free_mask)] = 1;
}

static void active_too_high(void) {
    superslab()->active++;
}

static void free_unit_lost(void) {
    superslab()->free_mask &= superslab()->free_mask - 1;
}

static void used_unit_is_dirty(void) {
    superslab()->dirty_mask |= 1;
}

static void used_unit_waits(void) {
    superslab()->waits_mask |= 1;
}

static void free_unit_with_a_kind(void) {
    unsigned unit = (unsigned)__builtin_ctz(superslab()->free_mask);
    hak_kind_set(superslab()->first + unit, HAK_KIND_LARGE);
}

static void spare_superslab_in_use(void) {
    hak_thread_heap()->spare = superslab();
}

static void superslab_of_no_heap(void) {
    superslab_of_nobody();
}

/* A SuperSlab's record that nothing leads to, in the middle of a large block. */
static void record_of_no_superslab(void) {
    for (uint32_t granule = 16; granule < hak_range_top(); granule += 16) {
        const struct hak_large *large = hak_large_at(granule - 1);
        for (uint32_t at = granule - 1; at > granule - 16 && hak_kind_of(at) == HAK_KIND_NONE; at--)
            large = hak_large_at(at - 1);
        struct hak_superslab *ss = hak_superslab_record(granule);
        if (large->kind != HAK_KIND_LARGE || large->first + large->granules < granule + 16)
            continue;
        *ss = (struct hak_superslab){.home = &nobody, .first = granule, .units = 16, .in_use = 16};
        ss->usable_mask = ss->free_mask = hak_units_of(16);
        return;
    }
    CHECK(false, "no large block is long enough");
}

#endif
