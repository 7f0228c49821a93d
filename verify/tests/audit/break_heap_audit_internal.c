/* Breaks what the check of the whole heap looks at, and asks for that check: by the signal that HAKMEM_AUDIT_SIGNAL names,
 * at level 3 by refills, else by hak_heap_check(). Figures that only their own file can write are broken on their way to
 * the check: the linker leads it to the __wrap_ functions here.
 *
 * usage: break_heap_audit_internal KIND */
#include "by_hand.h"

#include <signal.h>
#include <sys/resource.h>

#include "core/large.h"
#include "verify/audit.h"
#include "verify/hakmem_audit.h"

/* ---- a heap that has everything in it ------------------------------------------------------------------ */

#define LARGE(granules) (((size_t)(granules) << HAK_GRANULE_SHIFT) - HAK_ALIGNMENT)

static struct hak_slab *full, *partial, *current, *pool_slab; /* full: also has a remote list */
static struct hak_slab *other_full;                           /* has one, too, and was notified later */
static void *large_block;                                     /* live */
static struct hak_large *cached[3];                           /* two of one length, one of another */
static uint32_t run;                                          /* the first of two free runs of 5 granules */
static struct hak_heap *idle;                                 /* the heap of a thread that has ended */

/* Leaves two SuperSlabs of 2 MiB and a pool chunk of 1 MiB in the cache. */
static void *fill_superslab_cache(void *unused) {
    (void)unused;
    static void *some[60000];
    for (size_t i = 0; i < TEST_COUNT(some); i++)
        some[i] = hak_malloc(SIZE);
    idle = hak_thread_heap();
    for (size_t i = 0; i < TEST_COUNT(some); i++)
        hak_free(some[i]);
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

static void build(void) {
    void *runs[4];
    for (size_t i = 0; i < TEST_COUNT(runs); i++)
        runs[i] = hak_malloc(LARGE(5));
    run = first_granule(runs[0]);
    hak_free(runs[0]);
    hak_free(runs[2]);
    hak_malloc_trim(0);
    in_a_thread(fill_superslab_cache, NULL);
    allocate(0, BLOCKS);
    void *pool = hak_malloc(20000);
    void *to_cache[3] = {hak_malloc(LARGE(6)), hak_malloc(LARGE(6)), hak_malloc(LARGE(7))};
    hak_malloc(LARGE(40)); /* live; long enough for a SuperSlab's record to be in the middle of it */
    hak_aligned_alloc(HAK_GRANULE * 4, LARGE(6));
    large_block = runs[1];
    for (size_t i = 0; i < TEST_COUNT(to_cache); i++) {
        cached[i] = hak_large_at(first_granule(to_cache[i]));
        hak_free(to_cache[i]);
    }
    full = slab_of(blocks[0]);
    other_full = slab_of(blocks[1400]);
    pool_slab = slab_of(pool);
    current = hak_thread_heap()->classes[full->bin].current;
    for (size_t i = 0; i < BLOCKS; i++)
        if (slab_of(blocks[i]) == current) hak_free(blocks[i]), blocks[i] = NULL;
    in_a_thread(free_some, NULL);
}

/* ---- figures that only their own file can write -------------------------------------------------------- */

static uint32_t top_more, entries_more, no_ages;
static size_t slots_less, records_less, bigcache_more, superslab_cache_more, blocks_more, mapped_more;

#define WRAPPED(type, name)                                                                                  \
    type __real_##name(void);                                                                                \
    type __wrap_##name(void);                                                                                \
    type __wrap_##name(void)

WRAPPED(uint32_t, hak_range_top) {
    return __real_hak_range_top() + top_more;
}

WRAPPED(struct hak_range_state, hak_range_state) {
    struct hak_range_state state = __real_hak_range_state();
    state.slots_committed -= slots_less;
    state.records_committed -= records_less;
    return state;
}

WRAPPED(struct hak_bigcache_state, hak_bigcache_state) {
    struct hak_bigcache_state state = __real_hak_bigcache_state();
    state.entries += entries_more;
    if (no_ages) state.newest = state.oldest = 0;
    return state;
}

WRAPPED(size_t, hak_bigcache_bytes) {
    return __real_hak_bigcache_bytes() + bigcache_more;
}

WRAPPED(size_t, hak_superslab_cache_bytes) {
    return __real_hak_superslab_cache_bytes() + superslab_cache_more;
}

WRAPPED(struct hak_large_stats, hak_large_stats) {
    struct hak_large_stats stats = __real_hak_large_stats();
    stats.live_blocks += blocks_more;
    stats.mapped_bytes += mapped_more;
    return stats;
}

static void top_beyond_memory(void) {
    top_more = 1u << 20;
}

static void top_too_high(void) {
    top_more = 1;
}

static void top_too_low(void) {
    top_more = (uint32_t)-1;
}

static void slots_too_short(void) {
    slots_less = 4096;
}

static void records_too_short(void) {
    records_less = 4096;
}

static void limit_too_low(void) {
    atomic_store(&hak_range_limit, atomic_load(&hak_range_limit) - 1);
}

static void no_memory_for_the_check(void) {
    struct rlimit limit = {0, 0};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit: %s", strerror(errno));
}

/* ---- blocks and their lists ---------------------------------------------------------------------------- */

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
    hak_thread_heap()->heads[HAK_BIN_HEADER(slab->bin)] = hak_slab_block(slab, slab->carved);
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
    hak_header_set(blocks[1200], HAK_BIN_HEADER_FREE(full->bin));
}

/* ---- slabs --------------------------------------------------------------------------------------------- */

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
    (pool_slab + 1)->back = 0;
}

static void slab_without_granules(void) {
    current->granules = 0;
    current->capacity = UINT16_MAX;
}

static void slab_in_another_superslab(void) {
    full->superslab_first += 32;
}

static void slab_in_another_unit(void) {
    full->unit++;
}

static void slab_of_another_home(void) {
    allocate(0, BLOCKS); /* what was the current slab is full now */
    CHECK(current->state == HAK_SLAB_FULL, "state %d", current->state);
    current->home = &idle->home;
}

static void used_shown_too_high(void) {
    atomic_fetch_add(&hak_thread_heap()->classes[full->bin].used_shown, 1);
}

/* ---- a heap's slabs ------------------------------------------------------------------------------------ */

static struct hak_heap_class *class_of_blocks(void) {
    return &hak_thread_heap()->classes[full->bin];
}

/* Frees blocks of a slab that is full until then. */
static void make_partial(void) {
    release_to_slabs(1450, 1460);
    partial = class_of_blocks()->partial;
    CHECK(partial == other_full && partial->next == NULL, "another slab is partial");
}

static void partial_slab_says_full(void) {
    make_partial();
    partial->state = HAK_SLAB_FULL;
}

static void partial_slab_of_another_class(void) {
    make_partial();
    hak_thread_heap()->classes[full->bin + 1].partial = partial;
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
    partial->state = HAK_SLAB_FULL;
}

static void current_slab_says_partial(void) {
    current->state = HAK_SLAB_PARTIAL;
}

static void current_slab_of_another_class(void) {
    hak_thread_heap()->classes[full->bin + 1].current = current;
}

static void current_slab_of_another_thread(void) {
    hak_home_set_ruler(&hak_thread_heap()->home, idle);
}

static void current_slab_lost(void) {
    full->state = HAK_SLAB_CURRENT;
}

/* ---- notifications ------------------------------------------------------------------------------------- */

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
    CHECK(full->notify_next == other_full && other_full->notify_next == full, "order of notifications");
}

static void notification_of_no_slab(void) {
    atomic_store(notified(), (struct hak_slab *)hak_slot_address(first_granule(large_block)));
}

static void notification_elsewhere(void) {
    atomic_store(&idle->home.notified, atomic_load(notified()));
    atomic_store(notified(), NULL);
}

/* ---- SuperSlabs ---------------------------------------------------------------------------------------- */

static struct hak_superslab *superslab(void) {
    return hak_superslab_of(full);
}

static struct hak_superslab *cached_superslab(unsigned shift) {
    struct hak_superslab *ss = (struct hak_superslab *)(uintptr_t)hak_superslab_cache_first(shift);
    CHECK(ss != NULL, "no SuperSlab of %u in the cache", 1u << shift);
    return ss;
}

static void superslab_with_another_record(void) {
    superslab()->first += 32;
}

static void superslabs_too_high(void) {
    hak_thread_heap()->superslabs++;
}

static void chunks_too_high(void) {
    hak_thread_heap()->arena.chunks++;
}

static void open_superslab_lost(void) {
    hak_thread_heap()->open[0] = NULL;
}

static void open_superslab_with_wrong_back_link(void) {
    superslab()->prev = superslab();
}

static void open_superslab_of_nobody(void) {
    superslab()->next = cached_superslab(HAK_SUPERSLAB_SHIFT);
    superslab()->next->prev = superslab();
}

static void open_superslab_without_free_units(void) {
    superslab()->free_mask = 0;
}

static void open_superslab_of_another_kind(void) {
    hak_thread_heap()->open[0] = hak_thread_heap()->open[1];
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

static void free_unit_with_a_kind(void) {
    unsigned unit = (unsigned)__builtin_ctz(superslab()->free_mask);
    hak_kind_set(superslab()->first + unit, HAK_KIND_LARGE);
}

static void cached_superslab_with_wrong_back_link(void) {
    cached_superslab(HAK_SUPERSLAB_SHIFT)->prev = superslab();
}

static void cached_superslab_of_another_size(void) {
    struct hak_superslab *last = cached_superslab(HAK_ARENA_SHIFT_MIN);
    last->next = cached_superslab(HAK_SUPERSLAB_SHIFT);
    last->next->prev = last;
}

static void cached_superslab_with_a_home(void) {
    cached_superslab(HAK_SUPERSLAB_SHIFT)->home = (struct hak_home *)64;
}

static void cached_superslab_lost(void) {
    cached_superslab(HAK_SUPERSLAB_SHIFT)->next = NULL;
}

static void superslab_cache_counts_twice(void) {
    superslab_cache_more = (size_t)1 << HAK_SUPERSLAB_SHIFT;
}

/* A record that nothing leads to, in the middle of a large block. */
static void record_of_no_superslab(void) {
    for (uint32_t granule = 16; granule < hak_range_top(); granule += 16) {
        const struct hak_large *large = hak_large_at(granule - 1);
        for (uint32_t at = granule - 1; at > granule - 16 && hak_kind_of(at) == HAK_KIND_NONE; at--)
            large = hak_large_at(at - 1);
        struct hak_superslab *ss = hak_superslab_record(granule);
        if (large->kind != HAK_KIND_LARGE || large->first + large->granules < granule + 16) continue;
        *ss = *cached_superslab(HAK_ARENA_SHIFT_MIN);
        ss->first = granule;
        return;
    }
    CHECK(false, "no large block is long enough");
}

/* ---- free runs ----------------------------------------------------------------------------------------- */

static struct hak_free_run *free_run(uint32_t granule) {
    CHECK(hak_kind_of(granule) == HAK_KIND_FREE_RUN, "granule %u is of kind %d", granule,
          hak_kind_of(granule));
    return hak_slot_address(granule);
}

static uint32_t *run_list(uint32_t count) {
    return (uint32_t *)(uintptr_t)&hak_range_state().lists[hak_run_list_of(count)];
}

static void run_list_bit_flip(uint32_t count) {
    unsigned list = hak_run_list_of(count);
    uint64_t *word = (uint64_t *)(uintptr_t)&hak_range_state().nonempty[list / 64];
    *word ^= (uint64_t)1 << (list % 64);
}

static void run_with_wrong_first(void) {
    free_run(run)->first++;
}

static void run_beyond_the_top(void) {
    free_run(run)->count = 1u << 20;
}

static void run_with_wrong_last_slot(void) {
    free_run(run + 4)->first++;
}

static void run_with_two_lengths(void) {
    free_run(run + 4)->count++;
}

static void run_with_a_kind_inside(void) {
    hak_kind_set(run + 2, HAK_KIND_CACHED);
}

static void runs_side_by_side(void) {
    *free_run(run) = (struct hak_free_run){.first = run, .count = 1, .kind = HAK_KIND_FREE_RUN};
    *(struct hak_free_run *)hak_slot_address(run + 1) =
        (struct hak_free_run){.first = run + 1, .count = 4, .kind = HAK_KIND_FREE_RUN};
    *free_run(run + 4) = (struct hak_free_run){.first = run + 1, .count = 4, .kind = HAK_KIND_FREE_RUN};
}

static void run_list_beyond_the_top(void) {
    *run_list(5) = 1u << 20;
}

static void run_list_enters_a_slab(void) {
    *run_list(5) = hak_slab_first_granule(full);
}

static void run_with_wrong_back_link(void) {
    free_run(*run_list(5))->prev = run;
}

static void run_in_the_list_of_another_length(void) {
    *run_list(60) = *run_list(5);
    *run_list(5) = 0;
    run_list_bit_flip(60);
    run_list_bit_flip(5);
}

static void run_list_with_wrong_bit(void) {
    run_list_bit_flip(60);
}

static void runs_lost(void) {
    *run_list(5) = 0;
    run_list_bit_flip(5);
}

/* ---- large blocks and the BigCache --------------------------------------------------------------------- */

static struct hak_large *large_record(void) {
    return (struct hak_large *)(uintptr_t)hak_large_find(large_block);
}

static void large_record_elsewhere(void) {
    large_record()->user = (char *)large_block + HAK_GRANULE;
}

static void large_header_overwritten(void) {
    hak_header_set(large_block, 0x11);
}

static void large_block_beyond_its_run(void) {
    large_record()->size = LARGE(6);
}

static void large_block_lost(void) {
    hak_kind_set(first_granule(large_block), HAK_KIND_NONE);
}

static void large_blocks_too_high(void) {
    blocks_more = 1;
}

static void large_bytes_too_high(void) {
    large_record()->size -= 100;
}

static void large_mapped_too_high(void) {
    mapped_more = HAK_GRANULE;
}

static void cached_block_elsewhere(void) {
    cached[0]->first++;
}

static uint32_t *bucket_of_two(void) {
    return (uint32_t *)(uintptr_t)hak_bigcache_bucket(cached[0]->granules);
}

static void bucket_beyond_the_top(void) {
    *bucket_of_two() = 1u << 20;
}

static void bucket_enters_a_slab(void) {
    *bucket_of_two() = hak_slab_first_granule(full);
}

static void bucket_with_wrong_back_link(void) {
    cached[1]->previous = cached[2]->first;
}

static void bucket_of_another_length(void) {
    uint32_t other = 1;
    while (*hak_bigcache_bucket(other) != 0)
        other++;
    *(uint32_t *)(uintptr_t)hak_bigcache_bucket(other) = *bucket_of_two();
    *bucket_of_two() = 0;
}

static void bucket_lost(void) {
    *bucket_of_two() = 0;
}

static void newer_link_wrong(void) {
    cached[0]->newer = cached[2]->first;
}

static void age_list_cut(void) {
    cached[1]->older = 0;
}

static void age_list_lost(void) {
    no_ages = 1;
}

static void bigcache_counts_entry_twice(void) {
    entries_more = 1;
}

static void bigcache_counts_bytes_twice(void) {
    bigcache_more = (size_t)6 << HAK_GRANULE_SHIFT;
}

static void nothing(void) {}

static const struct kind kinds[] = {
    KIND(nothing),
    KIND(top_beyond_memory),
    KIND(top_too_high),
    KIND(top_too_low),
    KIND(slots_too_short),
    KIND(records_too_short),
    KIND(limit_too_low),
    KIND(no_memory_for_the_check),
    KIND(list_leaves_the_range),
    KIND(list_enters_large_block),
    KIND(freelist_enters_another_slab),
    KIND(list_enters_another_class),
    KIND(list_enters_the_middle_of_a_block),
    KIND(list_enters_uncarved_memory),
    KIND(listed_header_overwritten),
    KIND(list_is_a_circle),
    KIND(count_too_high),
    KIND(live_header_says_free),
    KIND(carved_above_capacity),
    KIND(used_above_carved),
    KIND(used_below_carved),
    KIND(capacity_too_high),
    KIND(remote_count_too_high),
    KIND(remote_count_above_used),
    KIND(tail_without_kind),
    KIND(tail_leads_elsewhere),
    KIND(slab_without_granules),
    KIND(slab_in_another_superslab),
    KIND(slab_in_another_unit),
    KIND(slab_of_another_home),
    KIND(used_shown_too_high),
    KIND(partial_slab_says_full),
    KIND(partial_slab_of_another_class),
    KIND(partial_slab_of_another_home),
    KIND(partial_slab_without_free_blocks),
    KIND(partial_slab_with_wrong_back_link),
    KIND(partial_slab_lost),
    KIND(partial_slab_lost_as_full),
    KIND(current_slab_says_partial),
    KIND(current_slab_of_another_class),
    KIND(current_slab_of_another_thread),
    KIND(current_slab_lost),
    KIND(notification_lost),
    KIND(notification_too_early),
    KIND(notification_doubled),
    KIND(notification_of_no_slab),
    KIND(notification_elsewhere),
    KIND(superslab_with_another_record),
    KIND(superslabs_too_high),
    KIND(chunks_too_high),
    KIND(open_superslab_lost),
    KIND(open_superslab_with_wrong_back_link),
    KIND(open_superslab_of_nobody),
    KIND(open_superslab_without_free_units),
    KIND(open_superslab_of_another_kind),
    KIND(active_too_high),
    KIND(free_unit_lost),
    KIND(used_unit_is_dirty),
    KIND(free_unit_with_a_kind),
    KIND(cached_superslab_with_wrong_back_link),
    KIND(cached_superslab_of_another_size),
    KIND(cached_superslab_with_a_home),
    KIND(cached_superslab_lost),
    KIND(superslab_cache_counts_twice),
    KIND(record_of_no_superslab),
    KIND(run_with_wrong_first),
    KIND(run_beyond_the_top),
    KIND(run_with_wrong_last_slot),
    KIND(run_with_two_lengths),
    KIND(run_with_a_kind_inside),
    KIND(runs_side_by_side),
    KIND(run_list_beyond_the_top),
    KIND(run_list_enters_a_slab),
    KIND(run_with_wrong_back_link),
    KIND(run_in_the_list_of_another_length),
    KIND(run_list_with_wrong_bit),
    KIND(runs_lost),
    KIND(large_record_elsewhere),
    KIND(large_header_overwritten),
    KIND(large_block_beyond_its_run),
    KIND(large_block_lost),
    KIND(large_blocks_too_high),
    KIND(large_bytes_too_high),
    KIND(large_mapped_too_high),
    KIND(cached_block_elsewhere),
    KIND(bucket_beyond_the_top),
    KIND(bucket_enters_a_slab),
    KIND(bucket_with_wrong_back_link),
    KIND(bucket_of_another_length),
    KIND(bucket_lost),
    KIND(newer_link_wrong),
    KIND(age_list_cut),
    KIND(age_list_lost),
    KIND(bigcache_counts_entry_twice),
    KIND(bigcache_counts_bytes_twice),
};

static void look(void) {
    if (hak_audit_options.signal != 0)
        raise((int)hak_audit_options.signal);
    else if (hak_audit_options.level == 3)
        allocate(0, BLOCKS); /* the audit looks after every refill */
    else if (hak_heap_check() != 0)
        abort();
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: break_heap_audit_internal KIND");
    build();
    return by_hand(kinds, TEST_COUNT(kinds), look, argv[1]);
}
