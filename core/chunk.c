#include "core/chunk.h"

/* One stretch of the reservation that is committed from its start on. */
struct area {
    uintptr_t start;
    size_t reserved;
    size_t committed;
};

#define EXACT_BINS 64u /* lengths below have a list each; four lists for each doubling above */

struct hak_range hak_range = {.base = HAK_RANGE_NONE};
struct hak_held hak_held;

static struct {
    struct area slots, records, metadata, heap;
    size_t metadata_used;
    _Atomic bool
        fixed; /* the mapping has properties that a moved part would lose, or the system moves nothing */
    _Atomic size_t lost; /* bytes: see hak_run_lose */
    uint32_t dirty_top;  /* granules from here on hold no memory, unless they are in a run in use */
    enum {
        ADVICE_DEFAULT,
        ADVICE_HUGE_PAGES,
        ADVICE_SMALL_PAGES
    } advice; /* changes while there is one thread */
    uint32_t top;
    uint32_t lists[HAK_RUN_LISTS];
    uint64_t nonempty[(HAK_RUN_LISTS + 63) / 64];
} range;

static struct hak_lock *const range_lock = &hak_locks[HAK_RANK_RANGE];

#define COMMIT_STEP_MIN ((size_t)4 << 20)
#define COMMIT_STEP_MAX ((size_t)64 << 20)

static struct hak_free_run *run_at(uint32_t granule) {
    return hak_slot_address(granule);
}

unsigned hak_run_list_of(uint32_t count) {
    if (count < EXACT_BINS) return count;
    unsigned log = hak_log2(count);
    return EXACT_BINS + (log - 6) * 4 + ((count >> (log - 2)) & 3);
}

/* ---- reservation ------------------------------------------------------------------------------------- */

static size_t tables_size(size_t heap) {
    size_t granules = heap >> HAK_GRANULE_SHIFT;
    size_t rounding = 4 * HAK_GRANULE; /* each area begins on a page, of at most a granule */
    return granules * HAK_SLOT_SIZE + granules / 16 * HAK_SUPERSLAB_RECORD + heap / 64 + rounding;
}

/* The whole reservation for a heap of so many bytes; the slack aligns granule 0 to a SuperSlab. */
static size_t reservation_size(size_t heap) {
    return heap + hak_round_up(tables_size(heap), HAK_GRANULE) + ((size_t)1 << HAK_SUPERSLAB_SHIFT);
}

/* Leaves a third of what there is to the program's own mappings, for stacks and libraries need some too. */
static bool reservation_fits(size_t heap) {
    size_t bytes = hak_round_up(reservation_size(heap) + heap / 2, HAK_GRANULE);
    void *probe = hak_os.reserve(bytes);
    return probe != NULL && hak_os.release(probe, bytes);
}

static size_t reservation_choose(void) {
    size_t heap = (size_t)1 << HAK_RANGE_MAX_SHIFT;
    size_t memory = hak_os_memory_size();
    while (memory != 0 && heap / 2 >= memory * 16 && heap > (size_t)1 << 36)
        heap /= 2;
    size_t wanted = heap;
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

static void area_set(struct area *area, uintptr_t *cursor, size_t bytes) {
    area->start = *cursor;
    area->reserved = bytes;
    *cursor += bytes;
}

static bool area_commit(struct area *area, size_t bytes) {
    bytes = hak_round_up(bytes, hak_os_page_size());
    if (bytes <= area->committed) return true;
    if (bytes > area->reserved) return false;
    if (!hak_os.commit((void *)(area->start + area->committed), bytes - area->committed)) return false;
    hak_hook_fresh((void *)(area->start + area->committed), bytes - area->committed);
    area->committed = bytes;
    return true;
}

/* Granules [from, until) are there, and their slots. */
static void kinds_begin(size_t from, size_t until) {
    for (size_t granule = from; granule < until; granule++)
        hak_hook_atomic(hak_slot_kind((uint32_t)granule), 1);
}

/* Commits granules below `granules` and their table entries: the tables first, so that a failure in the
 * middle leaves only table memory that nobody reads. */
static bool heap_commit_more(uint32_t granules) {
    size_t bytes = (size_t)granules << HAK_GRANULE_SHIFT;
    if (bytes <= range.heap.committed) return true;
    if (granules > hak_range.granules) return false;
    size_t step = COMMIT_STEP_MIN;
    while (step < COMMIT_STEP_MAX && step < range.heap.committed)
        step *= 2;
    size_t target = hak_round_up(bytes, step);
    size_t before = range.heap.committed >> HAK_GRANULE_SHIFT;
    if (target > range.heap.reserved) target = range.heap.reserved;
    for (;;) {
        size_t count = target >> HAK_GRANULE_SHIFT;
        if (area_commit(&range.slots, count * HAK_SLOT_SIZE) &&
            area_commit(&range.records, (count / 16 + 1) * HAK_SUPERSLAB_RECORD) &&
            area_commit(&range.heap, target))
            break;
        if (target == bytes) return false;
        target = bytes; /* memory is scarce: take no more than is needed */
    }
    HAK_ASSERT(range.heap.committed % HAK_GRANULE == 0);
    kinds_begin(before, range.heap.committed >> HAK_GRANULE_SHIFT);
    return true;
}

static void limit_publish(void) {
    uint64_t limit = (range.heap.committed - HAK_GRANULE) >> 4;
    if (limit != atomic_load_explicit(&hak_range.limit, memory_order_relaxed))
        atomic_store_explicit(&hak_range.limit, limit, memory_order_relaxed);
}

static bool heap_commit(uint32_t granules) {
    if (!heap_commit_more(granules)) return false;
    limit_publish();
    return true;
}

/* So much of the range has no huge pages. Where the system gives them to all, each SuperSlab that a thread touches would be
 * 2 MiB resident at once; a large heap gains speed by that, a small one only size. */
#define SMALL_PAGES_BYTES ((size_t)256 << 20)

/* Fresh mappings know nothing of what the rest of the range was advised, and would be mappings
 * of their own for ever. No loss if the system refuses. */
static void advise(uintptr_t start, size_t bytes) {
    uintptr_t end = start + bytes, border = range.heap.start + SMALL_PAGES_BYTES;
    HAK_ASSERT(start >= range.heap.start && start < end);
    if (range.advice == ADVICE_DEFAULT && end > border) end = border;
    if (start < end) hak_os.huge_pages((void *)start, end - start, range.advice == ADVICE_HUGE_PAGES);
}

static void rebuild(void);

bool hak_range_init(void) {
    if (hak_range_is_there()) return true;
    hak_lock_begin(HAK_RANK_RANGE, rebuild);
    size_t heap = reservation_choose();
    if (heap == 0) return false;
    size_t bytes = hak_round_up(reservation_size(heap), HAK_GRANULE);
    void *reserved = hak_os.reserve(bytes);
    if (reserved == NULL) return false;
    /* Granule 0 on a SuperSlab boundary, the tables before it, all of them page aligned. */
    uintptr_t start = hak_round_up((uintptr_t)reserved + hak_round_up(tables_size(heap), HAK_GRANULE),
                                   (size_t)1 << HAK_SUPERSLAB_SHIFT);
    size_t granules = heap >> HAK_GRANULE_SHIFT;
    uintptr_t cursor = start - hak_round_up(tables_size(heap), HAK_GRANULE);
    HAK_CHECK(cursor >= (uintptr_t)reserved && start + heap <= (uintptr_t)reserved + bytes);
    area_set(&range.slots, &cursor, hak_round_up(granules * HAK_SLOT_SIZE, hak_os_page_size()));
    area_set(&range.records, &cursor,
             hak_round_up((granules / 16 + 1) * HAK_SUPERSLAB_RECORD, hak_os_page_size()));
    area_set(&range.metadata, &cursor, start - cursor);
    HAK_CHECK(cursor == start);
    range.heap = (struct area){.start = start, .reserved = heap, .committed = 0};
    advise(start, heap);
    hak_range.start = start;
    hak_range.slots = range.slots.start;
    hak_range.granules = (uint32_t)granules;
    range.top = 1;
    hak_hook_atomic(&hak_range.limit, sizeof hak_range.limit);
    hak_hook_atomic(&range.fixed, sizeof range.fixed);
    hak_hook_atomic(&range.lost, sizeof range.lost);
    hak_hook_atomic(&hak_range.keeps, sizeof hak_range.keeps);
    hak_hook_atomic(&hak_held, sizeof hak_held);
    hak_hook_atomic(&hak_range.base, sizeof hak_range.base);
    if (!heap_commit_more(2)) {
        range.slots.committed = range.records.committed = range.heap.committed = 0;
        hak_os.release(reserved, bytes);
        return false;
    }
    /* before there is a limit; and from here on there is a range, also in a child of fork */
    atomic_store_explicit(&hak_range.base, start + HAK_GRANULE, memory_order_release);
    limit_publish();
    return true;
}

/* ---- free runs --------------------------------------------------------------------------------------- */

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

static void top_set(uint32_t top) {
    kept_sub(dirty_behind_top());
    range.top = top;
    kept_add(dirty_behind_top());
}

static void dirty_top_raise(uint32_t granule) {
    kept_sub(dirty_behind_top());
    if (range.dirty_top < granule) range.dirty_top = granule;
    kept_add(dirty_behind_top());
}

static void run_insert(uint32_t first, uint32_t count, bool dirty) {
    unsigned bin = hak_run_list_of(count);
    uint32_t next = range.lists[bin];
    struct hak_free_run *run = run_at(first);
    run->first = first; /* not the kind, which others may look at */
    run->count = count;
    run->dirty = dirty;
    run->next = next;
    run->prev = 0;
    if (next != 0) run_at(next)->prev = first;
    range.lists[bin] = first;
    range.nonempty[bin / 64] |= (uint64_t)1 << (bin % 64);
    if (dirty) kept_add(count);
    hak_kind_set(first, HAK_KIND_FREE_RUN);
    if (count > 1) {
        struct hak_free_run *last = run_at(first + count - 1);
        last->first = first;
        last->count = count;
        hak_kind_set(first + count - 1, HAK_KIND_FREE_RUN);
    }
}

static void run_remove(uint32_t first) {
    struct hak_free_run *run = run_at(first);
    HAK_CHECK(run->kind == HAK_KIND_FREE_RUN && run->first == first && run->count > 0);
    unsigned bin = hak_run_list_of(run->count);
    if (run->prev != 0)
        run_at(run->prev)->next = run->next;
    else
        range.lists[bin] = run->next;
    if (run->next != 0) run_at(run->next)->prev = run->prev;
    if (range.lists[bin] == 0) range.nonempty[bin / 64] &= ~((uint64_t)1 << (bin % 64));
    if (run->dirty) kept_sub(run->count);
    hak_kind_set(first, HAK_KIND_NONE);
    hak_kind_set(first + run->count - 1, HAK_KIND_NONE);
}

/* The first list at or after `bin` that is not empty; HAK_RUN_LISTS if none is. */
static unsigned run_next_bin(unsigned bin) {
    while (bin < HAK_RUN_LISTS) {
        uint64_t word = range.nonempty[bin / 64] >> (bin % 64);
        if (word != 0) return bin + (unsigned)__builtin_ctzll(word);
        bin = (bin / 64 + 1) * 64;
    }
    return HAK_RUN_LISTS;
}

#define RUNS_TRIED 32 /* a list of one length class may be long, and most of it too short or misaligned */

/* Finds a free run that holds `count` granules from an aligned one on; 0 if none was found among the first `most` of
 * each list. `dirty`: only of those that may hold memory. */
static uint32_t run_find(uint32_t count, uint32_t align, uint32_t most, bool dirty) {
    for (unsigned bin = run_next_bin(hak_run_list_of(count)); bin < HAK_RUN_LISTS;
         bin = run_next_bin(bin + 1)) {
        uint32_t tried = 0;
        for (uint32_t first = range.lists[bin]; first != 0 && tried < most; tried++) {
            struct hak_free_run *run = run_at(first);
            uint32_t from = (uint32_t)hak_round_up(first, align);
            if ((uint64_t)from + count <= (uint64_t)first + run->count && run->dirty >= dirty) return first;
            first = run->next;
        }
    }
    return 0;
}

/* Cuts [from, from + count) out of a free run. */
static void run_cut(uint32_t first, uint32_t from, uint32_t count) {
    uint32_t end = first + run_at(first)->count;
    HAK_CHECK(from >= first && from + count <= end);
    const bool dirty = run_at(first)->dirty;
    run_remove(first);
    if (from > first) run_insert(first, from - first, dirty);
    if (from + count < end) run_insert(from + count, end - from - count, dirty);
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
    if (hak_range_keeps()) granules_touch(gap > range.dirty_top ? gap : range.dirty_top, end);
    return hak_range_keeps() || gap < range.dirty_top;
}

static uint32_t run_from_top(uint32_t count, uint32_t align) {
    uint64_t from = hak_round_up(range.top, align);
    if (from + count > hak_range.granules) return 0;
    if (!heap_commit((uint32_t)from + count)) return 0;
    const uint32_t gap = range.top;
    top_set((uint32_t)from + count);
    if (from > gap) run_insert(gap, (uint32_t)from - gap, gap_is_dirty(gap, (uint32_t)from));
    return (uint32_t)from;
}

/* Whether the granules there, of a free run or behind the top, may hold memory. */
static bool is_dirty(uint32_t run, uint32_t from) {
    return run != 0 ? run_at(run)->dirty : from < range.dirty_top;
}

/* While memory is kept: a free run that holds some; 0: none. */
static uint32_t kept_find(uint32_t count, uint32_t align) {
    if (!hak_range_keeps() || hak_range_kept() < (size_t)count << HAK_GRANULE_SHIFT) return 0;
    return run_find(count, align, UINT32_MAX, true);
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

uint32_t hak_run_alloc(uint32_t count, uint32_t align) {
    HAK_CHECK(count > 0 && hak_is_power_of_two(align));
    if (count > hak_range.granules || align > hak_range.granules) return 0;
    hak_lock_take(range_lock);
    uint32_t first = kept_find(count, align);
    if (first == 0 && !top_is_kept(count, align)) first = run_find(count, align, RUNS_TRIED, false);
    uint32_t from = first == 0 ? run_from_top(count, align) : 0;
    if (first == 0 && from == 0)
        first = run_find(count, align, UINT32_MAX, false); /* there is no more: look everywhere */
    if (first != 0) from = (uint32_t)hak_round_up(first, align);
    const bool dirty = is_dirty(first, from);
    if (first != 0) run_cut(first, from, count);
    HAK_ASSERT(from == 0 || hak_kind_of(from) == HAK_KIND_NONE);
    if (from != 0) taken_set(from, count, dirty);
    hak_lock_drop(range_lock);
    return from;
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
        done = run_from_top(more, 1) != 0;
    } else if (next < range.top && hak_kind_of(next) == HAK_KIND_FREE_RUN) {
        struct hak_free_run *run = run_at(next);
        HAK_CHECK(run->first == next);
        if (run->count >= more) {
            run_cut(next, next, more);
            done = true;
        }
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

void hak_run_free(uint32_t first, uint32_t count, bool renew) {
    HAK_CHECK(first > 0 && count > 0);
    void *start = hak_granule_address(first);
    size_t bytes = (size_t)count << HAK_GRANULE_SHIFT;
    bool dirty = hak_range_keeps() && !renew;
    bool zero = dirty || hak_os.purge(start, bytes);
    if (!zero) hak_range_fix();
    if (renew) {
        /* Only now, when it has no memory any more: if that fails, the range may be somebody
         * else's. */
        if (!hak_os.renew(start, bytes)) {
            hak_run_lose(first, count);
            return;
        }
        zero = true;
        advise((uintptr_t)start, bytes);
    }
    if (!zero) hak_os_zero(start, bytes); /* locked memory cannot be purged, and a free run reads as zero */
    const uint32_t from = first, until = first + count;
    hak_lock_take(range_lock);
    HAK_CHECK(first + count <= range.top && hak_kind_of(first) == HAK_KIND_TAKEN);
    hak_kind_set(first, HAK_KIND_NONE);
    if (hak_kind_of(first - 1) == HAK_KIND_FREE_RUN) {
        uint32_t before = run_at(first - 1)->first;
        count += run_at(before)->count;
        dirty |= run_at(before)->dirty;
        run_remove(before);
        first = before;
    }
    if (first + count < range.top && hak_kind_of(first + count) == HAK_KIND_FREE_RUN) {
        uint32_t more = run_at(first + count)->count;
        dirty |= run_at(first + count)->dirty;
        run_remove(first + count);
        count += more;
    }
    if (first + count == range.top) {
        top_set(first);
        if (dirty) dirty_top_raise(first + count);
        slots_purge(first, (uint32_t)(range.heap.committed >> HAK_GRANULE_SHIFT), from, until);
    } else {
        run_insert(first, count, dirty);
        slots_purge(first, first + count, from, until);
    }
    hak_lock_drop(range_lock);
    if (dirty) hak_held_look();
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

/* ---- tables ------------------------------------------------------------------------------------------ */

uint32_t hak_range_top(void) {
    hak_lock_take(range_lock);
    uint32_t top = range.top;
    hak_lock_drop(range_lock);
    return top;
}

struct hak_range_state hak_range_state(void) {
    return (struct hak_range_state){.committed = range.heap.committed,
                                    .slots_committed = range.slots.committed,
                                    .records_committed = range.records.committed,
                                    .lists = range.lists,
                                    .nonempty = range.nonempty,
                                    .dirty_top = range.dirty_top};
}

void *hak_superslab_record(uint32_t first_granule) {
    HAK_CHECK(first_granule % 16 == 0 && first_granule < hak_range.granules);
    return (void *)(range.records.start + (uintptr_t)first_granule / 16 * HAK_SUPERSLAB_RECORD);
}

void *hak_metadata_alloc(size_t bytes) {
    bytes = hak_round_up(bytes, 64);
    void *got = NULL;
    hak_lock_take(range_lock);
    if (bytes <= range.metadata.reserved - range.metadata_used) {
        size_t need = range.metadata_used + bytes;
        size_t step = hak_round_up(need, HAK_GRANULE);
        bool ok = (step <= range.metadata.reserved && area_commit(&range.metadata, step)) ||
                  area_commit(&range.metadata, need);
        if (ok) {
            got = (void *)(range.metadata.start + range.metadata_used);
            range.metadata_used = need;
        }
    }
    hak_lock_drop(range_lock);
    return got;
}

size_t hak_range_committed(void) {
    hak_lock_take(range_lock);
    size_t bytes =
        range.heap.committed + range.slots.committed + range.records.committed + range.metadata.committed;
    hak_lock_drop(range_lock);
    return bytes;
}

void hak_range_keep(bool keeps) {
    atomic_store_explicit(&hak_range.keeps, keeps, memory_order_relaxed);
}

void hak_range_touch(size_t most) {
    hak_lock_take(range_lock);
    for (unsigned bin = run_next_bin(0); bin < HAK_RUN_LISTS; bin = run_next_bin(bin + 1))
        for (uint32_t first = range.lists[bin]; first != 0; first = run_at(first)->next) {
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
    if (count == 0 || hak_os.purge(start, bytes)) return true;
    hak_range_fix();
    if (hak_range_keeps()) return false;
    hak_os_zero(start, bytes);
    return true;
}

/* The runs of a list that may hold memory. */
static void list_purge(unsigned bin) {
    for (uint32_t first = range.lists[bin]; first != 0; first = run_at(first)->next) {
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
    for (unsigned bin = run_next_bin(0); bin < HAK_RUN_LISTS; bin = run_next_bin(bin + 1))
        list_purge(bin);
    const uint32_t behind = dirty_behind_top();
    if (granules_purge(range.top, behind)) {
        kept_sub(behind);
        range.dirty_top = 0;
    }
    const size_t after = hak_range_kept();
    hak_lock_drop(range_lock);
    HAK_ASSERT(after <= before);
    return before - after;
}

bool hak_range_may_move(void) {
    return !atomic_load_explicit(&range.fixed, memory_order_relaxed);
}

void hak_range_fix(void) {
    atomic_store_explicit(&range.fixed, true, memory_order_relaxed);
}

void hak_range_huge_pages(bool wanted) {
    HAK_CHECK(hak_range_is_there());
    hak_range_fix();
    range.advice = wanted ? ADVICE_HUGE_PAGES : ADVICE_SMALL_PAGES;
    advise(range.heap.start, range.heap.reserved);
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

/* The granules [first, end) belong to nobody. What lies in them is unknown. */
static void gap_free(uint32_t first, uint32_t end) {
    for (uint32_t granule = first; granule < end; granule++)
        if (hak_kind_of(granule) != HAK_KIND_NONE) hak_kind_set(granule, HAK_KIND_NONE);
    void *start = hak_granule_address(first);
    size_t bytes = (size_t)(end - first) << HAK_GRANULE_SHIFT;
    if (!hak_os.purge(start, bytes)) hak_os_zero(start, bytes);
    if (end == range.heap.committed >> HAK_GRANULE_SHIFT)
        range.top = first;
    else
        run_insert(first, end - first, false);
}

/* All that is in use is in the tables; all else is free. Nothing that is read here is changed by more than one store. */
static void rebuild(void) {
    HAK_CHECK(hak_lock_is_mine(range_lock));
    if (!hak_range_is_there()) return;
    const uint32_t end = (uint32_t)(range.heap.committed >> HAK_GRANULE_SHIFT);
    limit_publish();
    hak_os_zero(range.lists, sizeof range.lists);
    hak_os_zero(range.nonempty, sizeof range.nonempty);
    range.top = end;
    range.dirty_top = 0;
    atomic_store_explicit(&hak_held.kept, 0, memory_order_relaxed);
    uint32_t gap = 1; /* its first granule */
    for (uint32_t granule = 1, count; granule < end; granule += count) {
        count = run_in_use(granule);
        HAK_CHECK(count <= end - granule);
        if (count > 0) {
            if (granule > gap) gap_free(gap, granule);
            gap = granule + count;
        } else {
            count = 1;
        }
    }
    if (gap < end) gap_free(gap, end);
}

void hak_range_rebuild(void) {
    hak_lock_take(range_lock);
    rebuild();
    hak_lock_drop(range_lock);
}
