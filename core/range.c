#include "core/range.h"

#include "core/os_process.h"
#include "core/peak.h"
#include "core/range_parts.h"

struct hak_range hak_range = {.base = HAK_RANGE_NONE, .cached_most = SIZE_MAX};
struct hak_footprint hak_footprint;
struct hak_range_private hak_range_private;

/* ---- addresses ------------------------------------------------------------------------------- */

/* Bytes of the whole window, of which `blocks` bytes are for blocks. One SuperSlab more aligns the
 * first granule. */
static size_t window_size(size_t blocks) {
    size_t granules = blocks >> HAK_GRANULE_SHIFT;
    size_t rounding = 4 * HAK_GRANULE; /* areas begin at a page, of at most a granule */
    size_t tables = granules * HAK_MAP_ENTRY_SIZE + granules / 16 * HAK_SUPERSLAB_RECORD +
                    blocks / 64 + rounding;
    return hak_round_up(blocks + tables, HAK_GRANULE) + ((size_t)1 << HAK_SUPERSLAB_SHIFT);
}

/* Bytes for blocks in a reservation: no program fills 16 times the machine's memory. */
static size_t reservation_wanted(void) {
    size_t blocks = (size_t)1 << HAK_RANGE_MAX_SHIFT;
    size_t memory = hak_os_memory_size();
    while (memory != 0 && blocks / 2 >= memory * 16 && blocks > (size_t)1 << 36)
        blocks /= 2;
    return blocks;
}

/* Leaves a third of the address space to the program's own mappings: stacks and libraries need
 * some. */
static bool reservation_fits(size_t blocks) {
    return hak_window_fits(hak_round_up(window_size(blocks) + blocks / 2, HAK_GRANULE));
}

/* Bytes for blocks; 0: there is too little address space. */
static size_t reservation_choose(void) {
    const size_t wanted = reservation_wanted();
    size_t blocks = wanted;
    while (!reservation_fits(blocks)) {
        blocks /= 2;
        if (blocks < (size_t)1 << HAK_RANGE_MIN_SHIFT) return 0;
    }
    /* Where address space is scarce, a power of two may leave nearly half of it unused: try
     * quarters in between. */
    if (blocks < wanted)
        for (unsigned quarter = 7; quarter > 4; quarter--)
            if (reservation_fits(blocks / 4 * quarter)) return blocks / 4 * quarter;
    return blocks;
}

/* of the page map: mapped in one call with the process's page */
#define FIRST_MAP_BYTES ((size_t)16 << 10)

/* Lays out the tables' areas, and the area of the blocks behind them. */
static void areas_set(size_t blocks, const struct hak_area *opening) {
    const size_t page = hak_os_page_size(), granules = blocks >> HAK_GRANULE_SHIFT;
    range->process = (struct hak_area){.start = opening->start, .most = page, .committed = page};
    range->map.start = opening->start + page;
    range->map.committed = opening->committed - page;
    range->map.most = hak_round_up(granules * HAK_MAP_ENTRY_SIZE, page);
    range->records.start = range->map.start + range->map.most;
    range->records.most = hak_round_up((granules / 16 + 1) * HAK_SUPERSLAB_RECORD, page);
    range->metadata.start = range->records.start + range->records.most;
    hak_range.start =
        hak_round_up(range->metadata.start + blocks / 64, (size_t)1 << HAK_SUPERSLAB_SHIFT);
    hak_range.map = range->map.start;
    hak_range.records = range->records.start;
    hak_range.granules = (uint32_t)granules;
    range->blocks.start = (uintptr_t)hak_granule_address(HAK_GRANULE_FIRST) - page;
    range->blocks.most = hak_range_bytes_below(hak_range.granules);
    range->metadata.most = range->blocks.start - range->metadata.start;
    HAK_CHECK(hak_range.start + blocks <= range->map.start + window_size(blocks));
}

/* The granules [from, until) have page map entries from here on. */
static void kinds_begin(size_t from, size_t until) {
    for (size_t granule = from; granule < until; granule++)
        hak_hook_atomic(hak_map_entry_kind((uint32_t)granule), 1);
}

static bool window_open(void) {
    const size_t page = hak_os_page_size();
    size_t blocks = (size_t)1 << HAK_RANGE_MAX_SHIFT;
    while (window_size(blocks) > hak_window_max_bytes() && blocks > (size_t)1
                                                                        << HAK_RANGE_MIN_SHIFT)
        blocks /= 2; /* under an emulator there may be few addresses */
    struct hak_area opening = {.most = page + hak_round_up(FIRST_MAP_BYTES, page)};
    if (!hak_window_open(window_size(blocks), &opening)) {
        blocks = reservation_choose();
        if (blocks == 0 || !hak_window_reserve(window_size(blocks), &opening)) return false;
    }
    areas_set(blocks, &opening);
    kinds_begin(0, range->map.committed / HAK_MAP_ENTRY_SIZE);
    return true;
}

/* ---- memory ---------------------------------------------------------------------------------- */

#define FIRST_GRANULES 2u /* about what libc's malloc begins with */

#define STEP_MIN HAK_GRANULE
#define STEP_MAX ((size_t)64 << 20)

/* The area of the blocks grows and shrinks in steps of a sixteenth to an eighth of what is
 * committed. Larger steps would cost: limits count what is committed and not used, dumps hold it,
 * and it is resident where memory is locked. */
static size_t step_of(size_t committed) {
    size_t step = STEP_MIN;
    while (step < STEP_MAX && step < committed / 16)
        step *= 2;
    return step;
}

/* A table doubles if it can, because tables are small. */
static enum hak_placed table_grow(struct hak_area *table, size_t bytes) {
    if (bytes <= table->committed) return HAK_PLACED;
    size_t target = 2 * table->committed;
    if (target > bytes && target <= table->most && hak_area_grow(table, target) == HAK_PLACED)
        return HAK_PLACED;
    return hak_area_grow(table, bytes);
}

uint32_t hak_range_in_tables(void) {
    size_t map = range->map.committed / HAK_MAP_ENTRY_SIZE;
    size_t records = range->records.committed / HAK_SUPERSLAB_RECORD * 16;
    size_t most = map < records ? map : records;
    return (uint32_t)(most < hak_range.granules ? most : hak_range.granules);
}

enum hak_placed hak_range_tables_grow(uint32_t granules) {
    const size_t before = range->map.committed / HAK_MAP_ENTRY_SIZE;
    if (granules > hak_range.granules) return HAK_PLACE_REFUSED;
    enum hak_placed placed = table_grow(&range->map, (size_t)granules * HAK_MAP_ENTRY_SIZE);
    kinds_begin(before, range->map.committed / HAK_MAP_ENTRY_SIZE);
    if (placed != HAK_PLACED) return placed;
    return table_grow(&range->records, ((size_t)granules / 16 + 1) * HAK_SUPERSLAB_RECORD);
}

void hak_range_end_set(uint32_t granules) {
    uint64_t end = (uint64_t)(granules - HAK_GRANULE_FIRST) << (HAK_GRANULE_SHIFT - 4);
    range->end = granules;
    if (end != atomic_load_explicit(&hak_range.end, memory_order_relaxed))
        atomic_store_explicit(&hak_range.end, end, memory_order_relaxed);
}

static uint32_t step_up(uint32_t granules, size_t committed) {
    return (uint32_t)hak_round_up(granules, step_of(committed) >> HAK_GRANULE_SHIFT);
}

static enum hak_placed blocks_grow_to(uint32_t granules) {
    const size_t before = range->blocks.committed;
    enum hak_placed placed = hak_range_tables_grow(granules);
    if (placed == HAK_PLACED)
        placed = hak_area_grow(&range->blocks, hak_range_bytes_below(granules));
    if (placed == HAK_PLACED)
        hak_huge_pages_advise(range->blocks.start + before, range->blocks.committed - before);
    return placed;
}

#define LOOK_FROM    ((size_t)8 << 20) /* bytes committed: below this no limit is near */
#define LIMIT_SHARE  16u               /* a limit is near if more than 1/16 is committed */
#define CACHED_SHARE 32u               /* the cache may then hold 1/32 of the limit */

/* Called just after that area has grown. Asks for the limits each time, because a program may limit
 * itself at any time. Where the kernel promises no more memory than it has, or memory is locked,
 * all mapped memory counts: the cache may hold a share of what is committed. */
static void scarcity_look(void) {
    const size_t committed = range->blocks.committed, limit = hak_os_limit();
    size_t most = SIZE_MAX;
    if (committed < LOOK_FROM) return;
    const void *fresh = (const void *)(range->blocks.start + committed - hak_os_page_size());
    if (hak_os_is_strict() || hak_os_is_locked() || hak_os_is_locked_at(fresh))
        most = committed / CACHED_SHARE;
    if (committed > limit / LIMIT_SHARE && limit / CACHED_SHARE < most) most = limit / CACHED_SHARE;
    if (most != hak_range_cached_most(SIZE_MAX))
        atomic_store_explicit(&hak_range.cached_most, most, memory_order_relaxed);
}

enum hak_placed hak_range_grow(uint32_t granules) {
    if (granules <= hak_range_granules()) return HAK_PLACED;
    uint32_t target = step_up(granules, range->blocks.committed);
    if (target > hak_range.granules || blocks_grow_to(target) != HAK_PLACED) {
        enum hak_placed placed = blocks_grow_to(granules);
        if (placed != HAK_PLACED) return placed;
    }
    hak_range_end_set(hak_range_granules());
    scarcity_look();
    return HAK_PLACED;
}

void hak_range_kept_add(uint32_t granules) {
    size_t now = atomic_load_explicit(&hak_footprint.kept, memory_order_relaxed) +
                 ((size_t)granules << HAK_GRANULE_SHIFT);
    atomic_store_explicit(&hak_footprint.kept, now, memory_order_relaxed);
}

void hak_range_kept_sub(uint32_t granules) {
    size_t now = atomic_load_explicit(&hak_footprint.kept, memory_order_relaxed);
    HAK_CHECK(now >= (size_t)granules << HAK_GRANULE_SHIFT);
    atomic_store_explicit(&hak_footprint.kept, now - ((size_t)granules << HAK_GRANULE_SHIFT),
                          memory_order_relaxed);
}

void hak_range_tops_set(uint32_t top, uint32_t dirty_top) {
    HAK_ASSERT(dirty_top <= hak_range_granules());
    hak_range_kept_sub(hak_range_dirty_behind_top());
    range->top = top;
    range->dirty_top = dirty_top;
    hak_range_kept_add(hak_range_dirty_behind_top());
}

void hak_range_top_set(uint32_t top) {
    hak_range_tops_set(top, range->dirty_top);
}

void hak_range_dirty_top_raise(uint32_t granule) {
    if (range->dirty_top < granule) hak_range_tops_set(range->top, granule);
}

void hak_range_dirty_top_lower(uint32_t granule) {
    if (range->dirty_top > granule) hak_range_tops_set(range->top, granule);
}

bool hak_range_shrink_to(uint32_t keep) {
    const uint32_t before = hak_range_granules();
    hak_range_end_set(keep); /* first: nobody may take unmapped addresses for the range's */
    hak_area_shrink(&range->blocks, hak_range_bytes_below(keep));
    hak_huge_pages_unmapped(hak_range_granules(), before);
    hak_range_end_set(hak_range_granules());
    hak_range_dirty_top_lower(hak_range_granules());
    return hak_range_granules() == keep;
}

void hak_range_shrink(void) {
    if (hak_range_keeps()) return;
    size_t step = step_of(hak_range_bytes_below(range->top));
    uint32_t more = (uint32_t)(step >> HAK_GRANULE_SHIFT),
             keep = (uint32_t)hak_round_up(range->top + more, more);
    if (keep + more < hak_range_granules()) hak_range_shrink_to(keep);
}

bool hak_range_init(void) {
    struct hak_area *const areas[] = {&range->process, &range->map, &range->records,
                                      &range->metadata, &range->blocks};
    if (hak_range_is_there()) return true;
    if (!window_open()) return false;
    range->top = HAK_GRANULE_FIRST;
    hak_hook_atomic(&hak_range.end, sizeof hak_range.end);
    hak_hook_atomic(&range->moves_forbidden, sizeof range->moves_forbidden);
    hak_hook_atomic(&range->lost, sizeof range->lost);
    hak_hook_atomic(&range->partly_committed, sizeof range->partly_committed);
    hak_hook_atomic(&range->holes_now, sizeof range->holes_now);
    hak_hook_atomic(&range->met_foreign_mapping, sizeof range->met_foreign_mapping);
    hak_hook_atomic(&range->uncommitted, sizeof range->uncommitted);
    hak_hook_atomic(&hak_range.base, sizeof hak_range.base);
    hak_hook_atomic(&hak_range.cached_most, sizeof hak_range.cached_most);
    hak_hook_atomic(&hak_range.keeps, sizeof hak_range.keeps);
    hak_hook_atomic(&hak_footprint, sizeof hak_footprint);
    if (blocks_grow_to(HAK_GRANULE_FIRST + FIRST_GRANULES) != HAK_PLACED) {
        hak_window_close(areas, sizeof areas / sizeof areas[0]);
        return false;
    }
    hak_os_fork_word_init((void *)range->process.start);
    /* The base before the end. From here on there is a range, also in a child of fork. */
    atomic_store_explicit(&hak_range.base, (uintptr_t)hak_granule_address(HAK_GRANULE_FIRST),
                          memory_order_release);
    hak_range_end_set(hak_range_granules());
    return true;
}

/* ---- tables ---------------------------------------------------------------------------------- */

uint32_t hak_range_top(void) {
    hak_lock_take(range_lock);
    uint32_t top = range->top;
    hak_lock_drop(range_lock);
    return top;
}

void *hak_metadata_alloc(size_t bytes) {
    bytes = hak_round_up(bytes, 64);
    void *got = NULL;
    hak_lock_take(range_lock);
    if (bytes <= range->metadata.most - range->metadata_used) {
        size_t need = range->metadata_used + bytes;
        if (table_grow(&range->metadata, need) == HAK_PLACED) {
            got = (void *)(range->metadata.start + range->metadata_used);
            range->metadata_used = need;
        }
    }
    hak_lock_drop(range_lock);
    return got;
}

size_t hak_range_committed(void) {
    hak_lock_take(range_lock);
    size_t bytes = range->blocks.committed + range->map.committed + range->records.committed +
                   range->metadata.committed - range->hole_bytes;
    hak_lock_drop(range_lock);
    return bytes - atomic_load_explicit(&range->uncommitted, memory_order_relaxed);
}

void hak_range_keep(bool keeps) {
    /* seq_cst: the caller reads the policy again after this store */
    atomic_store_explicit(&hak_range.keeps, keeps, memory_order_seq_cst);
}

void hak_footprint_peak_update(void) {
    hak_peak_raise(&hak_footprint.peak, hak_footprint_bytes());
    size_t others = atomic_load_explicit(&hak_footprint.superslabs, memory_order_relaxed) +
                    atomic_load_explicit(&hak_footprint.kept, memory_order_relaxed);
    size_t peak = atomic_load_explicit(&hak_footprint.peak, memory_order_relaxed);
    atomic_store_explicit(&hak_footprint.peak_check_above, peak - others, memory_order_relaxed);
}

/* ---- what the range may do ------------------------------------------------------------------- */

size_t hak_range_lost(void) {
    return atomic_load_explicit(&range->lost, memory_order_relaxed);
}

bool hak_range_may_move(void) {
    return !hak_window_is_reserved() &&
           !atomic_load_explicit(&range->moves_forbidden, memory_order_relaxed);
}

void hak_range_forbid_moves(void) {
    atomic_store_explicit(&range->moves_forbidden, true, memory_order_relaxed);
}

void hak_range_huge_pages(bool wanted) {
    HAK_CHECK(hak_range_is_there());
    range->advice = wanted ? HAK_ADVICE_HUGE_PAGES : HAK_ADVICE_SMALL_PAGES;
    uintptr_t start = (uintptr_t)hak_granule_address(HAK_GRANULE_FIRST);
    size_t bytes = hak_range_bytes_below(hak_range_granules()) - hak_os_page_size();
    hak_os.huge_pages((void *)start, bytes, wanted);
}
