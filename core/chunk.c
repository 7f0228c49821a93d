#include "core/chunk.h"

#define EXACT_BINS 64u /* lengths below have a list each; four lists for each doubling above */

struct hak_range hak_range = {.base = HAK_RANGE_NONE, .cached_most = SIZE_MAX};
struct hak_held hak_held;

static struct {
    struct hak_area process, slots, records, metadata, heap; /* process: the page that a fork wipes */
    _Atomic uint32_t gaps; /* runs in use of which only the first part is committed */
    _Atomic size_t absent; /* bytes that range.heap counts as committed, and are not */
    size_t metadata_used;
    _Atomic bool fixed;  /* the system moves nothing, or loses what it moves */
    _Atomic size_t lost; /* bytes: see hak_run_lose */
    enum {
        ADVICE_DEFAULT,
        ADVICE_HUGE_PAGES,
        ADVICE_SMALL_PAGES
    } advice; /* changes while there is one thread */
    uint32_t top;
    uint32_t dirty_top; /* granules from here on hold no memory, unless they are in a run in use */
    uint32_t there;     /* granules behind this one, if any, are committed below the last gap only */
    struct hak_run_index free, holes;
    uint32_t holes_now; /* changes under the lock */
    size_t hole_bytes;  /* which range.heap counts as committed */
    _Atomic uint32_t small_regions;
    _Atomic bool crowded; /* somebody else had a mapping in a run in use that was not all there */
} range;

static struct hak_lock *const range_lock = &hak_locks[HAK_RANK_RANGE];

static struct hak_free_run *run_at(uint32_t granule) {
    return hak_slot_address(granule);
}

unsigned hak_run_list_of(uint32_t count) {
    if (count < EXACT_BINS) return count;
    unsigned log = hak_log2(count);
    return EXACT_BINS + (log - 6) * 4 + ((count >> (log - 2)) & 3);
}

/* ---- addresses ----------------------------------------------------------------------------------------- */

/* The whole window for a heap of so many bytes; the slack aligns the first granule to a SuperSlab. */
static size_t window_size(size_t heap) {
    size_t granules = heap >> HAK_GRANULE_SHIFT;
    size_t rounding = 4 * HAK_GRANULE; /* each area begins on a page, of at most a granule */
    size_t tables = granules * HAK_SLOT_SIZE + granules / 16 * HAK_SUPERSLAB_RECORD + heap / 64 + rounding;
    return hak_round_up(heap + tables, HAK_GRANULE) + ((size_t)1 << HAK_SUPERSLAB_SHIFT);
}

/* Of a reservation: no program fills 16 x the machine's memory. */
static size_t reservation_wanted(void) {
    size_t heap = (size_t)1 << HAK_RANGE_MAX_SHIFT;
    size_t memory = hak_os_memory_size();
    while (memory != 0 && heap / 2 >= memory * 16 && heap > (size_t)1 << 36)
        heap /= 2;
    return heap;
}

/* Leaves a third of what there is to the program's own mappings, for stacks and libraries need some too. */
static bool reservation_fits(size_t heap) {
    return hak_window_fits(hak_round_up(window_size(heap) + heap / 2, HAK_GRANULE));
}

/* 0: there is no address space. */
static size_t reservation_choose(void) {
    const size_t wanted = reservation_wanted();
    size_t heap = wanted;
    while (!reservation_fits(heap)) {
        heap /= 2;
        if (heap < (size_t)1 << HAK_RANGE_MIN_SHIFT) return 0;
    }
    /* Where address space is scarce, a power of two may leave nearly half of it: try quarters in between. */
    if (heap < wanted)
        for (unsigned quarter = 7; quarter > 4; quarter--)
            if (reservation_fits(heap / 4 * quarter)) return heap / 4 * quarter;
    return heap;
}

/* Bytes of the heap's area before a granule, and back. It begins with a page, for the byte before
 * any pointer into the range can be read. */
static size_t bytes_below(uint32_t granule) {
    HAK_ASSERT(granule >= HAK_GRANULE_FIRST);
    return ((size_t)(granule - HAK_GRANULE_FIRST) << HAK_GRANULE_SHIFT) + hak_os_page_size();
}

static uint32_t granules_in(size_t bytes) {
    const size_t page = hak_os_page_size();
    HAK_ASSERT(bytes >= page && (bytes - page) % HAK_GRANULE == 0);
    return (uint32_t)((bytes - page) >> HAK_GRANULE_SHIFT) + HAK_GRANULE_FIRST;
}

#define FIRST_SLOT_BYTES ((size_t)16 << 10) /* mapped together with the process's page */

/* The tables' areas, and behind them the heap. */
static void areas_set(size_t heap, const struct hak_area *opening) {
    const size_t page = hak_os_page_size(), granules = heap >> HAK_GRANULE_SHIFT;
    range.process = (struct hak_area){.start = opening->start, .most = page, .committed = page};
    range.slots.start = opening->start + page;
    range.slots.committed = opening->committed - page;
    range.slots.most = hak_round_up(granules * HAK_SLOT_SIZE, page);
    range.records.start = range.slots.start + range.slots.most;
    range.records.most = hak_round_up((granules / 16 + 1) * HAK_SUPERSLAB_RECORD, page);
    range.metadata.start = range.records.start + range.records.most;
    hak_range.start = hak_round_up(range.metadata.start + heap / 64, (size_t)1 << HAK_SUPERSLAB_SHIFT);
    hak_range.slots = range.slots.start;
    hak_range.granules = (uint32_t)granules;
    range.heap.start = (uintptr_t)hak_granule_address(HAK_GRANULE_FIRST) - page;
    range.heap.most = bytes_below(hak_range.granules);
    range.metadata.most = range.heap.start - range.metadata.start;
    HAK_CHECK(hak_range.start + heap <= range.slots.start + window_size(heap));
}

/* Granules [from, until) are there, and their slots. */
static void kinds_begin(size_t from, size_t until) {
    for (size_t granule = from; granule < until; granule++)
        hak_hook_atomic(hak_slot_kind((uint32_t)granule), 1);
}

static bool window_open(void) {
    const size_t page = hak_os_page_size();
    size_t heap = (size_t)1 << HAK_RANGE_MAX_SHIFT;
    while (window_size(heap) > hak_window_most() && heap > (size_t)1 << HAK_RANGE_MIN_SHIFT)
        heap /= 2; /* an emulator may have few addresses */
    struct hak_area opening = {.most = page + hak_round_up(FIRST_SLOT_BYTES, page)};
    if (!hak_window_open(window_size(heap), &opening)) {
        heap = reservation_choose();
        if (heap == 0 || !hak_window_reserve(window_size(heap), &opening)) return false;
    }
    areas_set(heap, &opening);
    kinds_begin(0, range.slots.committed / HAK_SLOT_SIZE);
    return true;
}

/* ---- memory -------------------------------------------------------------------------------------------- */

#define FIRST_GRANULES 2u /* about what libc's malloc begins with */

#define STEP_MIN HAK_GRANULE
#define STEP_MAX ((size_t)64 << 20)

/* Memory comes and goes in steps of a tenth or so of what is there: what is committed and not yet used is counted by limits,
 * held by dumps and resident where memory is locked. */
static size_t step_of(size_t committed) {
    size_t step = STEP_MIN;
    while (step < STEP_MAX && step < committed / 16)
        step *= 2;
    return step;
}

/* Tables double, for they are small. */
static enum hak_placed table_grow(struct hak_area *table, size_t bytes) {
    if (bytes <= table->committed) return HAK_PLACED;
    size_t target = 2 * table->committed;
    if (target > bytes && target <= table->most && hak_area_grow(table, target) == HAK_PLACED)
        return HAK_PLACED;
    return hak_area_grow(table, bytes);
}

uint32_t hak_range_in_tables(void) {
    size_t slots = range.slots.committed / HAK_SLOT_SIZE;
    size_t records = range.records.committed / HAK_SUPERSLAB_RECORD * 16;
    size_t most = slots < records ? slots : records;
    return (uint32_t)(most < hak_range.granules ? most : hak_range.granules);
}

/* Those of granules below `granules`; they go before memory, so that a failure in the middle leaves
 * only table memory that nobody reads. */
static enum hak_placed tables_grow(uint32_t granules) {
    const size_t before = range.slots.committed / HAK_SLOT_SIZE;
    if (granules > hak_range.granules) return HAK_PLACE_REFUSED;
    enum hak_placed placed = table_grow(&range.slots, (size_t)granules * HAK_SLOT_SIZE);
    kinds_begin(before, range.slots.committed / HAK_SLOT_SIZE);
    if (placed != HAK_PLACED) return placed;
    return table_grow(&range.records, ((size_t)granules / 16 + 1) * HAK_SUPERSLAB_RECORD);
}

/* So much of the range has no huge pages. Where the system gives them to all, each SuperSlab that a thread touches would be
 * 2 MiB resident at once; a large heap gains speed by that, a small one only size. */
#define SMALL_PAGES_BYTES ((size_t)256 << 20)

/* ---- huge pages that must not come back ---- */

#define REGION_GRANULES   32u   /* a huge page of 2 MiB */
#define SMALL_REGIONS_MAX 8192u /* each costs the kernel two mappings */

/* Huge pages may come where the memory of this region is. */
static bool region_is_huge(uint32_t region) {
    if (range.advice == ADVICE_HUGE_PAGES) return region >= HAK_GRANULE_FIRST;
    if (range.advice == ADVICE_SMALL_PAGES) return false;
    return (uintptr_t)hak_granule_address(region) >= range.heap.start + SMALL_PAGES_BYTES &&
           hak_os_huge_pages_for_all();
}

static void region_set_small(uint32_t region) {
    if (!region_is_huge(region) ||
        atomic_load_explicit(&range.small_regions, memory_order_relaxed) >= SMALL_REGIONS_MAX ||
        atomic_exchange_explicit(hak_region_is_small(region), 1, memory_order_relaxed) != 0)
        return;
    atomic_fetch_add_explicit(&range.small_regions, 1, memory_order_relaxed);
    hak_os.huge_pages(hak_granule_address(region), REGION_GRANULES * HAK_GRANULE, false);
}

/* Those of the regions in [first, end) that have small pages have not any more; `tell`: the kernel does not know. */
static void regions_forget(uint32_t first, uint32_t end, bool tell) {
    if (atomic_load_explicit(&range.small_regions, memory_order_relaxed) == 0) return;
    first = (uint32_t)hak_round_up(first, REGION_GRANULES);
    for (uint32_t region = first; region + REGION_GRANULES <= end; region += REGION_GRANULES) {
        if (atomic_load_explicit(hak_region_is_small(region), memory_order_relaxed) == 0 ||
            atomic_exchange_explicit(hak_region_is_small(region), 0, memory_order_relaxed) == 0)
            continue;
        atomic_fetch_sub_explicit(&range.small_regions, 1, memory_order_relaxed);
        if (tell) hak_os.huge_pages(hak_granule_address(region), REGION_GRANULES * HAK_GRANULE, true);
    }
}

void hak_range_used(uint32_t first, uint32_t count) {
    HAK_CHECK(first > 0 && count > 0);
    if (range.advice == ADVICE_HUGE_PAGES) regions_forget(first, first + count, true);
}

/* What is mapped there next has no advice. */
static void regions_unmapped(uint32_t first, uint32_t end) {
    regions_forget(first, end, false);
}

bool hak_range_purge_part(void *start, size_t bytes) {
    if (!hak_os.purge(start, bytes)) return false;
    if (range.advice == ADVICE_SMALL_PAGES) return true;
    const uintptr_t end = (uintptr_t)start + bytes;
    uint32_t first = hak_granule_of(start), last = hak_granule_of((void *)(end - 1));
    uint32_t low = first & ~(REGION_GRANULES - 1), high = last & ~(REGION_GRANULES - 1);
    if ((uintptr_t)start != (uintptr_t)hak_granule_address(low)) region_set_small(low);
    if (end != (uintptr_t)hak_granule_address(high + REGION_GRANULES)) region_set_small(high);
    return true;
}

/* Fresh mappings know nothing of what the rest of the range was advised, and would be mappings
 * of their own for ever. No loss if the system refuses. The first SuperSlab waits until it is
 * whole: before that no huge page has room there, and a small program makes no such call. */
static void advise(uintptr_t start, size_t bytes) {
    uintptr_t end = start + bytes, border = range.heap.start + SMALL_PAGES_BYTES;
    const uintptr_t whole = (uintptr_t)hak_granule_address(HAK_GRANULE_FIRST + HAK_UNITS_MAX);
    HAK_ASSERT(start >= range.heap.start && start < end);
    regions_unmapped(hak_granule_of((void *)start), hak_granule_of((void *)end));
    if (end < whole) return;
    if (start < whole) start = range.heap.start;
    if (range.advice == ADVICE_DEFAULT && end > border) end = border;
    if (start < end) hak_os.huge_pages((void *)start, end - start, range.advice == ADVICE_HUGE_PAGES);
}

/* What malloc and free take for the range's: it ends where memory does. */
static void limit_publish(uint32_t granules) {
    uint64_t limit = (uint64_t)(granules - HAK_GRANULE_FIRST) << (HAK_GRANULE_SHIFT - 4);
    range.there = granules;
    if (limit != atomic_load_explicit(&hak_range.limit, memory_order_relaxed))
        atomic_store_explicit(&hak_range.limit, limit, memory_order_relaxed);
}

static uint32_t granules_committed(void) {
    return granules_in(range.heap.committed);
}

/* The next multiple of a step. */
static uint32_t step_up(uint32_t granules, size_t committed) {
    return (uint32_t)hak_round_up(granules, step_of(committed) >> HAK_GRANULE_SHIFT);
}

static enum hak_placed heap_grow_to(uint32_t granules) {
    const size_t before = range.heap.committed;
    enum hak_placed placed = tables_grow(granules);
    if (placed == HAK_PLACED) placed = hak_area_grow(&range.heap, bytes_below(granules));
    if (placed == HAK_PLACED) advise(range.heap.start + before, range.heap.committed - before);
    return placed;
}

#define LOOK_FROM    ((size_t)8 << 20) /* bytes committed, below which no limit is near */
#define LIMIT_SHARE  16u               /* more than that share of a limit is much */
#define CACHED_SHARE 32u               /* of the limit, then */

/* Just after the heap has grown. What a program may have is asked for as the heap grows, for it may limit itself at any time. Where the kernel promises no
 * more than it has, or the memory is locked, all that is mapped counts. */
static void scarcity_look(void) {
    const size_t committed = range.heap.committed, limit = hak_os_limit();
    size_t most = SIZE_MAX;
    if (committed < LOOK_FROM) return;
    const void *fresh = (const void *)(range.heap.start + committed - hak_os_page_size());
    if (hak_os_is_strict() || hak_os_is_locked() || hak_os_is_locked_at(fresh))
        most = committed / CACHED_SHARE;
    if (committed > limit / LIMIT_SHARE && limit / CACHED_SHARE < most) most = limit / CACHED_SHARE;
    if (most != hak_range_cached_most(SIZE_MAX))
        atomic_store_explicit(&hak_range.cached_most, most, memory_order_relaxed);
}

/* Commits the granules below `granules`, and a step more unless memory is scarce. */
static enum hak_placed heap_grow(uint32_t granules) {
    if (granules <= granules_committed()) return HAK_PLACED;
    uint32_t target = step_up(granules, range.heap.committed);
    if (target > hak_range.granules || heap_grow_to(target) != HAK_PLACED) {
        enum hak_placed placed = heap_grow_to(granules);
        if (placed != HAK_PLACED) return placed;
    }
    limit_publish(granules_committed());
    scarcity_look();
    return HAK_PLACED;
}

static void kept_add(uint32_t granules) {
    size_t now =
        atomic_load_explicit(&hak_held.kept, memory_order_relaxed) + ((size_t)granules << HAK_GRANULE_SHIFT);
    atomic_store_explicit(&hak_held.kept, now, memory_order_relaxed);
}

static void kept_sub(uint32_t granules) {
    size_t now = atomic_load_explicit(&hak_held.kept, memory_order_relaxed);
    HAK_CHECK(now >= (size_t)granules << HAK_GRANULE_SHIFT);
    atomic_store_explicit(&hak_held.kept, now - ((size_t)granules << HAK_GRANULE_SHIFT),
                          memory_order_relaxed);
}

/* What lies behind the top and may hold memory. */
static uint32_t dirty_behind_top(void) {
    return range.dirty_top > range.top ? range.dirty_top - range.top : 0;
}

static void tops_set(uint32_t top, uint32_t dirty_top) {
    HAK_ASSERT(dirty_top <= granules_committed());
    kept_sub(dirty_behind_top());
    range.top = top;
    range.dirty_top = dirty_top;
    kept_add(dirty_behind_top());
}

static void top_set(uint32_t top) {
    tops_set(top, range.dirty_top);
}

/* Granules below this one may hold memory. */
static void dirty_top_raise(uint32_t granule) {
    if (range.dirty_top < granule) tops_set(range.top, granule);
}

/* Granules from this one on hold none. */
static void dirty_top_lower(uint32_t granule) {
    if (range.dirty_top > granule) tops_set(range.top, granule);
}

/* What is committed from this granule on goes; false: it stays, as in a reservation. */
static bool heap_shrink_to(uint32_t keep) {
    const uint32_t before = granules_committed();
    limit_publish(keep); /* first: nobody is told that memory is there which is not */
    hak_area_shrink(&range.heap, bytes_below(keep));
    regions_unmapped(granules_committed(), before);
    limit_publish(granules_committed());
    dirty_top_lower(granules_committed());
    return granules_committed() == keep;
}

/* What is committed beyond the top goes, but for a step, or it would be wanted again soon. */
static void heap_shrink(void) {
    if (hak_range_keeps()) return;
    size_t step = step_of(bytes_below(range.top));
    uint32_t more = (uint32_t)(step >> HAK_GRANULE_SHIFT),
             keep = (uint32_t)hak_round_up(range.top + more, more);
    if (keep + more < granules_committed()) heap_shrink_to(keep);
}

static void rebuild(void);

bool hak_range_init(void) {
    struct hak_area *const areas[] = {&range.process, &range.slots, &range.records, &range.metadata,
                                      &range.heap};
    if (hak_range_is_there()) return true;
    hak_lock_begin(HAK_RANK_RANGE, rebuild);
    if (!window_open()) return false;
    range.top = HAK_GRANULE_FIRST;
    hak_hook_atomic(&hak_range.limit, sizeof hak_range.limit);
    hak_hook_atomic(&range.fixed, sizeof range.fixed);
    hak_hook_atomic(&range.lost, sizeof range.lost);
    hak_hook_atomic(&range.gaps, sizeof range.gaps);
    hak_hook_atomic(&range.crowded, sizeof range.crowded);
    hak_hook_atomic(&range.absent, sizeof range.absent);
    hak_hook_atomic(&hak_range.base, sizeof hak_range.base);
    hak_hook_atomic(&hak_range.cached_most, sizeof hak_range.cached_most);
    hak_hook_atomic(&hak_range.keeps, sizeof hak_range.keeps);
    hak_hook_atomic(&hak_held, sizeof hak_held);
    if (heap_grow_to(HAK_GRANULE_FIRST + FIRST_GRANULES) != HAK_PLACED) {
        hak_window_close(areas, sizeof areas / sizeof areas[0]);
        return false;
    }
    hak_os_process_begin((void *)range.process.start);
    /* before there is a limit; and from here on there is a range, also in a child of fork */
    atomic_store_explicit(&hak_range.base, (uintptr_t)hak_granule_address(HAK_GRANULE_FIRST),
                          memory_order_release);
    limit_publish(granules_committed());
    return true;
}

/* ---- free runs --------------------------------------------------------------------------------------- */

static struct hak_run_index *index_of(enum hak_kind kind) {
    HAK_ASSERT(kind == HAK_KIND_FREE_RUN || kind == HAK_KIND_HOLE);
    return kind == HAK_KIND_HOLE ? &range.holes : &range.free;
}

static void holes_add(uint32_t holes, size_t granules) {
    __atomic_store_n(&range.holes_now, range.holes_now + holes, __ATOMIC_RELAXED);
    range.hole_bytes += granules << HAK_GRANULE_SHIFT;
}

/* `dirty`: it may hold memory, which no hole does. */
static void run_insert(uint32_t first, uint32_t count, enum hak_kind kind, bool dirty) {
    HAK_ASSERT(kind == HAK_KIND_FREE_RUN || !dirty);
    unsigned bin = hak_run_list_of(count);
    struct hak_run_index *index = index_of(kind);
    uint32_t next = index->lists[bin];
    struct hak_free_run *run = run_at(first);
    run->first = first; /* not the kind, which others may look at */
    run->count = count;
    run->dirty = dirty;
    run->next = next;
    run->prev = 0;
    if (next != 0) run_at(next)->prev = first;
    index->lists[bin] = first;
    index->nonempty[bin / 64] |= (uint64_t)1 << (bin % 64);
    hak_kind_set(first, kind);
    if (count > 1) {
        struct hak_free_run *last = run_at(first + count - 1);
        last->first = first;
        last->count = count;
        hak_kind_set(first + count - 1, kind);
    }
    if (kind == HAK_KIND_HOLE) holes_add(1, count);
    if (dirty) kept_add(count);
}

static void run_remove(uint32_t first) {
    struct hak_free_run *run = run_at(first);
    const enum hak_kind kind = (enum hak_kind)run->kind;
    HAK_CHECK(run->first == first && run->count > 0);
    unsigned bin = hak_run_list_of(run->count);
    struct hak_run_index *index = index_of(kind);
    if (run->prev != 0)
        run_at(run->prev)->next = run->next;
    else
        index->lists[bin] = run->next;
    if (run->next != 0) run_at(run->next)->prev = run->prev;
    if (index->lists[bin] == 0) index->nonempty[bin / 64] &= ~((uint64_t)1 << (bin % 64));
    hak_kind_set(first, HAK_KIND_NONE);
    hak_kind_set(first + run->count - 1, HAK_KIND_NONE);
    if (kind == HAK_KIND_HOLE) holes_add(-1u, -(size_t)run->count);
    if (run->dirty) kept_sub(run->count);
}

/* The first list at or after `bin` that is not empty; HAK_RUN_LISTS if none is. */
static unsigned run_next_bin(const struct hak_run_index *index, unsigned bin) {
    while (bin < HAK_RUN_LISTS) {
        uint64_t word = index->nonempty[bin / 64] >> (bin % 64);
        if (word != 0) return bin + (unsigned)__builtin_ctzll(word);
        bin = (bin / 64 + 1) * 64;
    }
    return HAK_RUN_LISTS;
}

#define RUNS_TRIED 32 /* a list of one length class may be long, and most of it too short or misaligned */

/* Finds a run of this kind that holds `count` granules from an aligned one on; 0 if none was found among the first `most` of
 * each list. `dirty`: only of those that may hold memory. */
static uint32_t run_find(enum hak_kind kind, uint32_t count, uint32_t align, uint32_t most, bool dirty) {
    const struct hak_run_index *index = index_of(kind);
    for (unsigned bin = run_next_bin(index, hak_run_list_of(count)); bin < HAK_RUN_LISTS;
         bin = run_next_bin(index, bin + 1)) {
        uint32_t tried = 0;
        for (uint32_t first = index->lists[bin]; first != 0 && tried < most; tried++) {
            struct hak_free_run *run = run_at(first);
            uint32_t from = (uint32_t)hak_round_up(first, align);
            if ((uint64_t)from + count <= (uint64_t)first + run->count && run->dirty >= dirty) return first;
            first = run->next;
        }
    }
    return 0;
}

/* Cuts [from, from + count) out of a free run or hole. */
static void run_cut(uint32_t first, uint32_t from, uint32_t count) {
    const enum hak_kind kind = hak_kind_of(first);
    const bool dirty = run_at(first)->dirty;
    uint32_t end = first + run_at(first)->count;
    HAK_CHECK(from >= first && from + count <= end);
    run_remove(first);
    if (from > first) run_insert(first, from - first, kind, dirty);
    if (from + count < end) run_insert(from + count, end - from - count, kind, dirty);
}

/* Takes the neighbours of this kind off the lists, and into [*first, *first + *count); true: one of them may hold memory. */
static bool run_join(uint32_t *first, uint32_t *count, enum hak_kind kind) {
    const uint32_t end = *first + *count;
    bool dirty = false;
    if (hak_kind_of(*first - 1) == kind) {
        uint32_t before = run_at(*first - 1)->first;
        *count += run_at(before)->count;
        dirty = run_at(before)->dirty;
        run_remove(before);
        *first = before;
    }
    if (end < range.top && hak_kind_of(end) == kind) {
        *count += run_at(end)->count;
        dirty |= run_at(end)->dirty;
        run_remove(end);
    }
    return dirty;
}

static void taken_set(uint32_t first, uint32_t count, bool dirty) {
    struct hak_free_run *run = run_at(first);
    run->first = first;
    run->count = count;
    run->dirty = dirty;
    hak_kind_set(first, HAK_KIND_TAKEN);
}

void hak_run_set_taken(uint32_t first, uint32_t count) {
    HAK_CHECK(first > 0 && count > 0);
    taken_set(first, count, true);
}

static void granules_touch(uint32_t first, uint32_t end) {
    if (first < end) hak_os_touch(hak_granule_address(first), (size_t)(end - first) << HAK_GRANULE_SHIFT);
}

/* What lies between the former top and an aligned run. While memory is kept it gets some, or its neighbours would lose by it. */
static bool gap_is_dirty(uint32_t gap, uint32_t end) {
    if (!hak_range_keeps()) return gap < range.dirty_top;
    granules_touch(gap > range.dirty_top ? gap : range.dirty_top, end);
    return true;
}

/* Nobody has the granules from the top to `from`. */
static void top_raise(uint32_t from) {
    const uint32_t gap = range.top;
    HAK_ASSERT(from >= gap && from <= granules_committed());
    top_set(from);
    if (from > gap) run_insert(gap, from - gap, HAK_KIND_FREE_RUN, gap_is_dirty(gap, from));
}

/* Somebody else has a mapping behind what is committed: goes on behind that, and gives up what is
 * between. False: there is no way on. */
static bool mapping_skip(void) {
    const uint32_t first = granules_committed(), left = hak_range.granules - first;
    for (uint32_t skip = 1, more = 1; more > 0 && skip < left; skip += more) {
        more = skip < (left - skip) / 2 ? skip : (left - skip) / 2;
        if (tables_grow(first + skip + 1) != HAK_PLACED) return false;
        enum hak_placed placed = hak_window_commit((uintptr_t)hak_granule_address(first + skip), HAK_GRANULE);
        if (placed == HAK_PLACE_REFUSED) return false;
        if (placed == HAK_PLACE_TAKEN) continue;
        taken_set(first, skip, true); /* before it can be taken for free */
        hak_run_lose(first, skip);
        top_raise(first);
        hak_area_skip(&range.heap, (size_t)(skip + 1) << HAK_GRANULE_SHIFT);
        top_set(first + skip);
        advise((uintptr_t)hak_granule_address(range.top), HAK_GRANULE);
        limit_publish(granules_committed());
        return true;
    }
    return false;
}

static enum hak_placed tables_and_heap_grow(uint32_t tables, uint32_t heap) {
    if (tables > hak_range.granules) return HAK_PLACE_REFUSED;
    enum hak_placed placed = tables_grow(tables);
    return placed == HAK_PLACED ? heap_grow(heap) : placed;
}

/* More runs that are not all there, and each thread would cost the kernel a mapping. A large heap gains
 * nothing by them. */
#define GAPS_MAX   256u
#define GAPS_BELOW ((size_t)64 << 20)

static bool gap_is_good(void) {
    return !hak_range_keeps() && range.heap.committed < GAPS_BELOW &&
           !atomic_load_explicit(&range.crowded, memory_order_relaxed) &&
           atomic_load_explicit(&range.gaps, memory_order_relaxed) < GAPS_MAX;
}

/* *there: how many of them have memory, the caller says how many must. */
static uint32_t run_from_top(uint32_t count, uint32_t align, uint32_t *there) {
    uint32_t now = *there == 0 && gap_is_good() ? 0 : count, from;
    for (;;) {
        if (count > hak_range.granules - range.top) return 0;
        from = (uint32_t)hak_round_up(range.top, align);
        enum hak_placed placed = tables_and_heap_grow(from + count, from + now);
        if (placed == HAK_PLACED) break;
        if (placed == HAK_PLACE_REFUSED || !mapping_skip()) return 0;
    }
    HAK_ASSERT(hak_kind_of(from) == HAK_KIND_NONE);
    taken_set(from, count, from < range.dirty_top); /* before it can be taken for free */
    top_raise(from);
    top_set(from + count);
    uint32_t committed = granules_committed();
    *there = committed < range.top ? committed - from : count;
    if (committed < range.top) {
        hak_area_skip(&range.heap, (size_t)(range.top - committed) << HAK_GRANULE_SHIFT);
        atomic_fetch_add_explicit(&range.gaps, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&range.absent, (size_t)(count - *there) << HAK_GRANULE_SHIFT,
                                  memory_order_relaxed);
    }
    return from;
}

enum hak_placed hak_run_reach(uint32_t first, uint32_t count, uint32_t there, uint32_t more) {
    HAK_CHECK(first > 0 && more > 0 && more <= count - there);
    uintptr_t start = (uintptr_t)hak_granule_address(first + there);
    size_t bytes = (size_t)more << HAK_GRANULE_SHIFT;
    enum hak_placed placed = hak_window_commit(start, bytes);
    /* What is mapped whole finds the way on at once, however long such a mapping is. */
    if (placed == HAK_PLACE_TAKEN) atomic_store_explicit(&range.crowded, true, memory_order_relaxed);
    if (placed != HAK_PLACED) return placed;
    advise(start, bytes);
    hak_lock_take(range_lock);
    if (first + there >= range.there)
        limit_publish(first + there + more); /* or it is below the limit anyway */
    hak_lock_drop(range_lock);
    atomic_fetch_sub_explicit(&range.absent, bytes, memory_order_relaxed);
    if (there + more == count) atomic_fetch_sub_explicit(&range.gaps, 1, memory_order_relaxed);
    return HAK_PLACED;
}

/* Of a free run that run_find has found; 0: it found none. */
static uint32_t run_take(uint32_t run, uint32_t count, uint32_t align) {
    if (run == 0) return 0;
    const uint32_t from = (uint32_t)hak_round_up(run, align);
    const bool dirty = run_at(run)->dirty;
    run_cut(run, from, count);
    taken_set(from, count, dirty);
    return from;
}

/* From the lists; 0: none was found. */
static uint32_t run_from_free(uint32_t count, uint32_t align, uint32_t most) {
    return run_take(run_find(HAK_KIND_FREE_RUN, count, align, most, false), count, align);
}

/* Maps a part of a hole anew. A hole in which somebody else has put a mapping is given up. */
static enum hak_placed hole_fill(uint32_t hole, uint32_t from, uint32_t count) {
    const uintptr_t start = (uintptr_t)hak_granule_address(from);
    const size_t bytes = (size_t)count << HAK_GRANULE_SHIFT;
    HAK_CHECK(hak_kind_of(hole) == HAK_KIND_HOLE);
    enum hak_placed placed = hak_window_commit(start, bytes);
    if (placed == HAK_PLACED) {
        advise(start, bytes);
        run_cut(hole, from, count);
        if (from + count > range.there) limit_publish(from + count); /* as in hak_run_reach */
    } else if (placed == HAK_PLACE_TAKEN) {
        uint32_t whole = run_at(hole)->count;
        run_remove(hole);
        taken_set(hole, whole, false);
        hak_run_lose(hole, whole);
    }
    return placed;
}

static uint32_t run_from_hole(uint32_t count, uint32_t align, uint32_t most) {
    uint32_t hole, from = 0;
    enum hak_placed placed;
    do {
        hole = run_find(HAK_KIND_HOLE, count, align, most, false);
        if (hole == 0) return 0;
        from = (uint32_t)hak_round_up(hole, align);
        placed = hole_fill(hole, from, count);
    } while (placed == HAK_PLACE_TAKEN);
    if (placed != HAK_PLACED) return 0;
    taken_set(from, count, false);
    return from;
}

/* While memory is kept: a free run that holds some; 0: none. */
static uint32_t kept_find(uint32_t count, uint32_t align) {
    if (!hak_range_keeps() || hak_range_kept() < (size_t)count << HAK_GRANULE_SHIFT) return 0;
    return run_find(HAK_KIND_FREE_RUN, count, align, UINT32_MAX, true);
}

static bool top_is_kept(uint32_t count, uint32_t align) {
    return hak_round_up(range.top, align) + count <= range.dirty_top;
}

bool hak_run_is_kept(uint32_t count, uint32_t align) {
    if (hak_range_kept() < (size_t)count << HAK_GRANULE_SHIFT) return false;
    hak_lock_take(range_lock);
    bool kept = kept_find(count, align) != 0 || (hak_range_keeps() && top_is_kept(count, align));
    hak_lock_drop(range_lock);
    return kept;
}

/* From the lists, but not where as much lies behind the top and holds memory. */
static uint32_t run_from_lists(uint32_t count, uint32_t align) {
    uint32_t from = run_take(kept_find(count, align), count, align);
    if (from != 0 || top_is_kept(count, align)) return from;
    from = run_from_free(count, align, RUNS_TRIED);
    return from != 0 ? from : run_from_hole(count, align, RUNS_TRIED);
}

uint32_t hak_run_alloc_part(uint32_t count, uint32_t align, uint32_t *there) {
    HAK_CHECK(count > 0 && hak_is_power_of_two(align));
    if (count > hak_range.granules || align > hak_range.granules) return 0;
    hak_lock_take(range_lock);
    const uint32_t least = *there;
    *there = count;
    uint32_t from = run_from_lists(count, align);
    if (from == 0) {
        *there = least;
        from = run_from_top(count, align, there);
    }
    /* There is no more: look everywhere. */
    if (from == 0) {
        *there = count;
        from = run_from_free(count, align, UINT32_MAX);
        if (from == 0) from = run_from_hole(count, align, UINT32_MAX);
    }
    HAK_ASSERT(from == 0 || *there <= count);
    hak_lock_drop(range_lock);
    if (from != 0 && *there == count) hak_range_used(from, count);
    return from;
}

uint32_t hak_run_alloc(uint32_t count, uint32_t align) {
    uint32_t there = count;
    return hak_run_alloc_part(count, align, &there);
}

/* Whether the granules that come next may hold memory. */
static bool extends_kept(uint32_t next, uint32_t more) {
    if (next >= range.top) return next + more <= range.dirty_top;
    return hak_kind_of(next) == HAK_KIND_FREE_RUN && run_at(next)->dirty;
}

bool hak_run_extend(uint32_t first, uint32_t count, uint32_t more) {
    HAK_CHECK(count > 0 && more > 0);
    bool done = false;
    uint32_t next = first + count;
    hak_lock_take(range_lock);
    HAK_CHECK(run_at(first)->count == count);
    if (!extends_kept(next, more) && kept_find(count + more, 1) != 0) {
        done = false; /* by a copy */
    } else if (next == range.top) {
        done = tables_and_heap_grow(next + more, next + more) == HAK_PLACED;
        if (done) top_set(next + more);
    } else if (next < range.top && hak_kind_of(next) == HAK_KIND_FREE_RUN && run_at(next)->count >= more) {
        run_cut(next, next, more);
        done = true;
    } else if (next < range.top && hak_kind_of(next) == HAK_KIND_HOLE && run_at(next)->count >= more) {
        done = hole_fill(next, next, more) == HAK_PLACED;
    }
    if (done) run_at(first)->count = count + more;
    hak_lock_drop(range_lock);
    return done;
}

/* What is free has a slot at either end; those between, of a gigabyte a megabyte, go back with it. [from, until) came to the free
 * granules [first, end) just now. Under the lock, or somebody might have taken them. Locked memory stays, which is as good: nobody
 * relies on zero there. */
static void slots_purge(uint32_t first, uint32_t end, uint32_t from, uint32_t until) {
    const size_t page = hak_os_page_size() / HAK_SLOT_SIZE; /* in slots */
    HAK_ASSERT(first <= from && from < until && until <= end);
    size_t least = hak_round_up(first + 1, page), most = (end - 1) & ~(page - 1);
    /* those of what was freed, and of its neighbours' ends */
    size_t low = (from - 1) & ~(page - 1), high = hak_round_up(until + 1, page);
    if (low < least) low = least;
    if (high > most) high = most;
    if (low < high && !hak_range_keeps())
        hak_os.purge(hak_slot_address((uint32_t)low), (high - low) * HAK_SLOT_SIZE);
}

void hak_run_lose(uint32_t first, uint32_t count) {
    HAK_CHECK(count > 0 && hak_kind_of(first) == HAK_KIND_TAKEN);
    HAK_ASSERT(run_at(first)->count == count);
    atomic_fetch_add_explicit(&range.lost, (size_t)count << HAK_GRANULE_SHIFT, memory_order_relaxed);
    hak_range_fix(); /* or each block that cannot be moved may lose as much again */
}

size_t hak_range_lost(void) {
    return atomic_load_explicit(&range.lost, memory_order_relaxed);
}

/* A hole at the top leaves, and takes what is committed behind it along; not where that may hold memory. */
static bool hole_may_leave(void) {
    return dirty_behind_top() == 0;
}

/* Takes the free run or hole before the top, for the granules from there on are nobody's; false: there is none, or it stays. */
static bool top_take_before(bool *is_hole, uint32_t *first, bool *dirty) {
    const enum hak_kind kind = hak_kind_of(range.top - 1);
    *is_hole = kind == HAK_KIND_HOLE;
    if (kind != HAK_KIND_FREE_RUN && !(*is_hole && hole_may_leave())) return false;
    *first = run_at(range.top - 1)->first;
    *dirty = run_at(*first)->dirty;
    run_remove(*first);
    return true;
}

/* A hole at the top that cannot leave. */
static void hole_keep(uint32_t first, uint32_t count) {
    run_join(&first, &count, HAK_KIND_HOLE);
    run_insert(first, count, HAK_KIND_HOLE, false);
}

/* The granules from `first` on are nobody's, and unmapped if they were a hole. So is what is free before them. A hole's
 * addresses may be somebody else's now: they leave without a call, but not before what is committed behind them has gone. */
static void top_lower(uint32_t first, bool is_hole, bool dirty) {
    do {
        if (dirty) dirty_top_raise(range.top);
        if (is_hole) {
            if (!heap_shrink_to(range.top)) {
                hole_keep(first, range.top - first);
                return;
            }
            hak_area_leave(&range.heap, bytes_below(first));
            limit_publish(first);
            dirty_top_lower(first);
        }
        top_set(first);
    } while (top_take_before(&is_hole, &first, &dirty));
    heap_shrink();
}

#define HOLES_MAX 1024u /* each costs the kernel a mapping */
#define HOLE_MIN  4u    /* granules: less is soon wanted again, and hardly worth a mapping */

/* Without the lock: there may be some more. */
static bool holes_are_few(void) {
    return __atomic_load_n(&range.holes_now, __ATOMIC_RELAXED) < HOLES_MAX;
}

static bool hole_is_wanted(uint32_t count) {
    if (hak_range_keeps() || !(hak_range_is_scarce() || hak_os_is_locked())) return false;
    return count >= HOLE_MIN && holes_are_few();
}

/* Unmaps a taken run; false: it has to be kept. */
static bool run_unmap(uint32_t first, uint32_t count) {
    HAK_CHECK(hak_kind_of(first) == HAK_KIND_TAKEN && count > 0);
    const size_t bytes = (size_t)count << HAK_GRANULE_SHIFT;
    if (!hak_window_release((uintptr_t)hak_granule_address(first), bytes)) return false;
    regions_unmapped(first, first + count);
    return true;
}

/* The memory of a taken run goes, and it reads as zero; false: it is lost. */
static bool run_purge(uint32_t first, uint32_t count, bool renew) {
    void *start = hak_granule_address(first);
    size_t bytes = (size_t)count << HAK_GRANULE_SHIFT;
    if (renew) hak_os_unlock(start, bytes); /* or all memory would be taken for locked */
    bool zero = hak_range_purge_part(start, bytes);
    if (renew) {
        /* Only now, when it has no memory any more: if that fails, the range may be somebody
         * else's. */
        if (!hak_os.renew(start, bytes)) {
            hak_run_lose(first, count);
            return false;
        }
        zero = true;
        advise((uintptr_t)start, bytes);
    }
    if (!zero) hak_os_zero(start, bytes); /* locked memory cannot be purged, and a free run reads as zero */
    return true;
}

/* Puts a taken run to the free ones or to the holes. `dirty`: it may hold memory. Under the lock. */
static void run_put(uint32_t first, uint32_t count, enum hak_kind kind, bool dirty) {
    const uint32_t from = first, until = first + count;
    HAK_CHECK(until <= range.top && hak_kind_of(first) == HAK_KIND_TAKEN);
    hak_kind_set(first, HAK_KIND_NONE);
    if (until == range.top && (kind == HAK_KIND_FREE_RUN || hole_may_leave())) {
        top_lower(first, kind == HAK_KIND_HOLE, dirty);
        if (range.top <= from) slots_purge(range.top, hak_range_in_tables(), from, until);
    } else {
        dirty |= run_join(&first, &count, kind);
        run_insert(first, count, kind, dirty);
        slots_purge(first, first + count, from, until);
    }
}

/* As run_put. */
static void run_put_locked(uint32_t first, uint32_t count, enum hak_kind kind, bool dirty) {
    hak_lock_take(range_lock);
    run_put(first, count, kind, dirty);
    hak_lock_drop(range_lock);
    if (dirty) hak_held_look();
}

void hak_run_free(uint32_t first, uint32_t count, bool renew) {
    HAK_CHECK(first > 0 && count > 0);
    HAK_CHECK(hak_granule_is_there(first + count - 1)); /* before anything of it is touched */
    const bool keeps = hak_range_keeps();
    enum hak_kind kind = HAK_KIND_FREE_RUN;
    if (hole_is_wanted(count) && run_unmap(first, count))
        kind = HAK_KIND_HOLE;
    else if ((renew || !keeps) && !run_purge(first, count, renew))
        return;
    const bool dirty = keeps && kind == HAK_KIND_FREE_RUN;
    if (dirty && renew) granules_touch(first, first + count); /* its neighbours have memory */
    run_put_locked(first, count, kind, dirty);
}

void hak_run_free_part(uint32_t first, uint32_t count, uint32_t there) {
    HAK_CHECK(there < count && hak_kind_of(first) == HAK_KIND_TAKEN && run_at(first)->count == count);
    hak_lock_take(range_lock);
    atomic_fetch_sub_explicit(&range.gaps, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&range.absent, (size_t)(count - there) << HAK_GRANULE_SHIFT,
                              memory_order_relaxed);
    if (there > 0) {
        taken_set(first + there, count - there, false);
        taken_set(first, there, true);
    }
    run_put(first + there, count - there, HAK_KIND_HOLE, false); /* no more of these than there were gaps */
    hak_lock_drop(range_lock);
    if (there > 0) hak_run_free(first, there, false);
}

static uintptr_t run_end(uint32_t first, uint32_t count) {
    return (uintptr_t)hak_granule_address(first) + ((uintptr_t)count << HAK_GRANULE_SHIFT);
}

bool hak_run_cut(uint32_t first, uint32_t count, size_t cut) {
    HAK_CHECK(cut > 0 && cut < HAK_GRANULE);
    return hak_window_release(run_end(first, count) - cut, cut);
}

bool hak_run_mend(uint32_t first, uint32_t count, size_t cut) {
    HAK_CHECK(cut > 0 && cut < HAK_GRANULE);
    const uintptr_t start = run_end(first, count) - cut;
    if (hak_window_commit(start, cut) != HAK_PLACED) return false;
    advise(start, cut);
    return true;
}

void hak_run_free_unmapped(uint32_t first, uint32_t count) {
    HAK_CHECK(count > 0 && !hak_window_is_reserved());
    const uintptr_t start = (uintptr_t)hak_granule_address(first);
    const size_t bytes = (size_t)count << HAK_GRANULE_SHIFT;
    regions_unmapped(first, first + count);
    bool mapped =
        !(hak_range_is_scarce() && holes_are_few()) && hak_window_commit(start, bytes) == HAK_PLACED;
    if (mapped) advise(start, bytes);
    run_put_locked(first, count, mapped ? HAK_KIND_FREE_RUN : HAK_KIND_HOLE, false);
}

void hak_run_free_cut(uint32_t first, uint32_t count, size_t cut) {
    HAK_CHECK(cut > 0 && cut < HAK_GRANULE);
    const uintptr_t start = (uintptr_t)hak_granule_address(first);
    const size_t bytes = ((size_t)count << HAK_GRANULE_SHIFT) - cut;
    if (!holes_are_few() && hak_run_mend(first, count, cut)) {
        hak_run_free(first, count, false);
        return;
    }
    if (!hak_window_release(start, bytes)) {
        hak_range_purge_part((void *)start, bytes);
        hak_run_lose(first, count);
        return;
    }
    regions_unmapped(first, first + count);
    run_put_locked(first, count, HAK_KIND_HOLE, false);
}

/* ---- tables ------------------------------------------------------------------------------------------ */

uint32_t hak_range_top(void) {
    hak_lock_take(range_lock);
    uint32_t top = range.top;
    hak_lock_drop(range_lock);
    return top;
}

struct hak_range_state hak_range_state(void) {
    return (struct hak_range_state){.committed = granules_committed(),
                                    .there = range.there,
                                    .in_tables = hak_range_in_tables(),
                                    .free = &range.free,
                                    .holes = &range.holes,
                                    .hole_bytes = range.hole_bytes,
                                    .dirty_top = range.dirty_top,
                                    .slot_bytes = range.slots.committed,
                                    .record_bytes = range.records.committed};
}

void *hak_superslab_record(uint32_t first_granule) {
    HAK_CHECK(first_granule % 16 == 0 && first_granule < hak_range.granules);
    return (void *)(range.records.start + (uintptr_t)first_granule / 16 * HAK_SUPERSLAB_RECORD);
}

void *hak_metadata_alloc(size_t bytes) {
    bytes = hak_round_up(bytes, 64);
    void *got = NULL;
    hak_lock_take(range_lock);
    if (bytes <= range.metadata.most - range.metadata_used) {
        size_t need = range.metadata_used + bytes;
        if (table_grow(&range.metadata, need) == HAK_PLACED) {
            got = (void *)(range.metadata.start + range.metadata_used);
            range.metadata_used = need;
        }
    }
    hak_lock_drop(range_lock);
    return got;
}

size_t hak_range_committed(void) {
    hak_lock_take(range_lock);
    size_t bytes = range.heap.committed + range.slots.committed + range.records.committed +
                   range.metadata.committed - range.hole_bytes;
    hak_lock_drop(range_lock);
    return bytes - atomic_load_explicit(&range.absent, memory_order_relaxed);
}

/* ---- memory that is kept ----------------------------------------------------------------------------- */

void hak_range_keep(bool keeps) {
    /* seq_cst: who tells the range looks at the policy again after that */
    atomic_store_explicit(&hak_range.keeps, keeps, memory_order_seq_cst);
}

void hak_range_touch(size_t most) {
    hak_lock_take(range_lock);
    for (unsigned bin = run_next_bin(&range.free, 0); bin < HAK_RUN_LISTS;
         bin = run_next_bin(&range.free, bin + 1))
        for (uint32_t first = range.free.lists[bin]; first != 0; first = run_at(first)->next) {
            struct hak_free_run *run = run_at(first);
            const size_t bytes = (size_t)run->count << HAK_GRANULE_SHIFT;
            if (!run->dirty && bytes > most) continue;
            granules_touch(first, first + run->count);
            if (run->dirty) continue;
            most -= bytes;
            run->dirty = true;
            kept_add(run->count);
        }
    granules_touch(range.top, range.dirty_top);
    hak_lock_drop(range_lock);
}

/* Locked memory stays as long as memory is kept: false. After that it is zeroed by hand, once. */
static bool granules_purge(uint32_t first, uint32_t count) {
    void *start = hak_granule_address(first);
    const size_t bytes = (size_t)count << HAK_GRANULE_SHIFT;
    if (count == 0 || hak_range_purge_part(start, bytes)) return true;
    if (hak_range_keeps()) return false;
    hak_os_zero(start, bytes);
    return true;
}

/* The runs of a list that may hold memory. */
static void list_purge(unsigned bin) {
    for (uint32_t first = range.free.lists[bin]; first != 0; first = run_at(first)->next) {
        struct hak_free_run *run = run_at(first);
        if (!run->dirty || !granules_purge(first, run->count)) continue;
        run->dirty = false;
        kept_sub(run->count);
    }
}

size_t hak_range_purge(void) {
    if (hak_range_kept() == 0) return 0;
    hak_lock_take(range_lock);
    const size_t before = hak_range_kept();
    for (unsigned bin = run_next_bin(&range.free, 0); bin < HAK_RUN_LISTS;
         bin = run_next_bin(&range.free, bin + 1))
        list_purge(bin);
    heap_shrink();
    if (granules_purge(range.top, dirty_behind_top())) tops_set(range.top, 0);
    top_lower(range.top, false, false); /* a hole that had to stay */
    const size_t after = hak_range_kept();
    hak_lock_drop(range_lock);
    HAK_ASSERT(after <= before);
    return before - after;
}

void hak_held_look(void) {
    hak_peak_raise(&hak_held.peak, hak_held_bytes());
    size_t others = atomic_load_explicit(&hak_held.superslabs, memory_order_relaxed) +
                    atomic_load_explicit(&hak_held.kept, memory_order_relaxed);
    size_t peak = atomic_load_explicit(&hak_held.peak, memory_order_relaxed);
    atomic_store_explicit(&hak_held.look_at, peak > others ? peak - others : 0, memory_order_relaxed);
}

void hak_peak_set(_Atomic size_t *peak, size_t now) {
    size_t most = atomic_load_explicit(peak, memory_order_relaxed);
    while (now > most && !atomic_compare_exchange_weak_explicit(peak, &most, now, memory_order_relaxed,
                                                                memory_order_relaxed)) {
    }
}

/* ---- what the range may do ----------------------------------------------------------------------------- */

bool hak_range_may_move(void) {
    return !hak_window_is_reserved() && !atomic_load_explicit(&range.fixed, memory_order_relaxed);
}

void hak_range_fix(void) {
    atomic_store_explicit(&range.fixed, true, memory_order_relaxed);
}

void hak_range_huge_pages(bool wanted) {
    HAK_CHECK(hak_range_is_there());
    range.advice = wanted ? ADVICE_HUGE_PAGES : ADVICE_SMALL_PAGES;
    uintptr_t start = (uintptr_t)hak_granule_address(HAK_GRANULE_FIRST);
    size_t bytes = bytes_below(granules_committed()) - hak_os_page_size();
    hak_os.huge_pages((void *)start, bytes, wanted);
}

/* ---- a child of fork --------------------------------------------------------------------------------- */

/* The granules of the run in use that begins at `first`; 0 if none does. The kind is read again after the record: a SuperSlab
 * that is given up is taken first, and only then no longer in use. */
static uint32_t run_in_use(uint32_t first) {
    for (int look = 0; look < 2; look++) {
        enum hak_kind kind = hak_kind_of(first);
        bool is_cached = kind == HAK_KIND_CACHED && !hak_lock_is_lost(&hak_locks[HAK_RANK_BIGCACHE]);
        if (kind == HAK_KIND_TAKEN || kind == HAK_KIND_LARGE || is_cached) return run_at(first)->count;
        uint32_t units = first % 16 == 0 ? hak_superslab_units_used(first) : 0;
        if (units > 0) return units;
    }
    return 0;
}

/* The tables know of more granules than have memory. */
static size_t bytes_there(uint32_t first, uint32_t count) {
    uint64_t limit = atomic_load_explicit(&hak_range.limit, memory_order_relaxed);
    uint64_t until = (limit >> (HAK_GRANULE_SHIFT - 4)) + HAK_GRANULE_FIRST;
    if (until <= first) return 0;
    return (size_t)(until - first < count ? until - first : count) << HAK_GRANULE_SHIFT;
}

/* The granules [first, end) belong to nobody. What lies in them is unknown; where a hole was being made or filled, not all is
 * mapped. */
static void gap_free(uint32_t first, uint32_t end) {
    for (uint32_t granule = first; granule < end; granule++)
        if (hak_kind_of(granule) != HAK_KIND_NONE) hak_kind_set(granule, HAK_KIND_NONE);
    void *start = hak_granule_address(first);
    size_t bytes = bytes_there(first, end - first);
    if (bytes > 0 && !hak_os.purge(start, bytes)) {
        if (!hak_os_is_mapped(start, bytes)) {
            taken_set(first, end - first, true);
            hak_run_lose(first, end - first);
            return;
        }
        hak_os_zero(start, bytes);
    }
    if (end == range.top)
        range.top = first;
    else
        run_insert(first, end - first, HAK_KIND_FREE_RUN, false);
}

/* Granules of the hole that begins at `first`; 0 if none does. */
static uint32_t hole_at(uint32_t first) {
    return hak_kind_of(first) == HAK_KIND_HOLE && run_at(first)->first == first ? run_at(first)->count : 0;
}

/* All that is in use is in the tables; all else is free. Nothing that is read here is changed by more than one store. */
static void rebuild(void) {
    HAK_CHECK(hak_lock_is_mine(range_lock));
    if (!hak_range_is_there()) return;
    hak_area_mend(&range.slots);
    hak_area_mend(&range.records);
    hak_area_mend(&range.metadata);
    hak_area_mend(&range.heap);
    const uint32_t end = hak_range_in_tables();
    limit_publish(granules_committed()); /* also where a gap is at the end */
    hak_os_zero(&range.free, sizeof range.free);
    hak_os_zero(&range.holes, sizeof range.holes);
    holes_add(-range.holes_now, -(range.hole_bytes >> HAK_GRANULE_SHIFT));
    range.top = end;
    range.dirty_top = 0;
    atomic_store_explicit(&hak_held.kept, 0, memory_order_relaxed);
    uint32_t gap = HAK_GRANULE_FIRST; /* its first granule */
    for (uint32_t granule = HAK_GRANULE_FIRST, count; granule < end; granule += count) {
        const uint32_t hole = hole_at(granule);
        count = hole > 0 ? hole : run_in_use(granule);
        HAK_CHECK(count <= end - granule);
        if (count > 0) {
            if (granule > gap) gap_free(gap, granule);
            gap = granule + count;
        } else {
            count = 1;
        }
        if (hole > 0) run_insert(granule, hole, HAK_KIND_HOLE, false);
    }
    if (gap < end) gap_free(gap, end);
}

void hak_range_rebuild(void) {
    hak_lock_take(range_lock);
    rebuild();
    hak_lock_drop(range_lock);
}
