
#include <string.h>
#include <sys/mman.h>

#include "core/heap.h"
#include "core/remote.h"
#include "core/slab_pages.h"
#include "core/text.h"
#include "verify/heap_check_parts.h"

#define FAULTS_SHOWN 20
#define equal        hak_check_equal
#define at_most      hak_check_at_most

/* One byte for each block tells where the block was found. The bytes are reserved for the smallest
 * stride, and touched only where there are slabs. */
enum place { PLACE_NONE = 0, PLACE_FREELIST, PLACE_REMOTE, PLACE_BIN, PLACE_NOTIFIED };

/* The last byte of a slab's first granule belongs to no block. It tells whether the slab is on a
 * stack of notified slabs. */
#define BLOCKS_A_GRANULE (HAK_GRANULE / 16)
#define NOTIFIED_AT      (BLOCKS_A_GRANULE - 1)
_Static_assert((HAK_GRANULE - 15) / 16 <= NOTIFIED_AT, "no block has this place");

static uint8_t *places_of(struct check *check, const struct hak_slab *slab) {
    return &check->places[(size_t)hak_slab_first_granule(slab) * BLOCKS_A_GRANULE];
}

static void fault(struct check *check, const char *equation, uint64_t left, uint64_t right,
                  const void *where) {
    struct hak_text line = {.length = 0};
    if (check->result->faults++ >= FAULTS_SHOWN) return;
    hak_text_add(&line, "hakmem: check: ");
    hak_text_add(&line, equation);
    hak_text_add(&line, ": ");
    hak_text_add_number(&line, left);
    hak_text_add(&line, " against ");
    hak_text_add_number(&line, right);
    hak_text_add_pointer(&line, ", at ", where);
    hak_text_print(&line);
}

bool hak_check_equal(struct check *check, const char *equation, uint64_t left, uint64_t right,
                     const void *where) {
    check->result->equations++;
    if (left == right) return true;
    fault(check, equation, left, right, where);
    return false;
}

bool hak_check_at_most(struct check *check, const char *equation, uint64_t left, uint64_t right,
                       const void *where) {
    check->result->equations++;
    if (left <= right) return true;
    fault(check, equation, left, right, where);
    return false;
}

/* Walks a list of free blocks of class `bin`. Each block must lie in `slab`, or in any slab if
 * `slab` is NULL, and in no other list. Stops at the first fault, so that a broken link is not
 * followed. Returns the length. */
static size_t walk(struct check *check, const struct hak_block *block, unsigned bin,
                   const struct hak_slab *slab, enum place place) {
    size_t length = 0;
    for (; block != NULL; block = block->next, length++) {
        if (!equal(check, "list stays in the range", hak_range_has(block), true, block)) break;
        const struct hak_slab *found = hak_slab_find(block);
        if (!equal(check, "listed block lies in a slab", found != NULL, true, block)) break;
        if (slab != NULL &&
            !equal(check, "listed block lies in its slab", found == slab, true, block))
            break;
        if (!equal(check, "bin of list = bin of slab", bin, found->class, block)) break;
        if (!equal(check, "listed block is a block", hak_slab_has(found, block), true, block))
            break;
        equal(check, "listed block is carved",
              hak_slab_is_carved(found, hak_slab_index(found, block)), true, block);
        equal(check, "header of listed block", hak_header_of(block), HAK_CLASS_HEADER_FREE(bin),
              block);
        uint8_t *mark = places_of(check, found) + hak_slab_index(found, block);
        if (!equal(check, "block is in one list only", *mark, PLACE_NONE, block)) break;
        *mark = (uint8_t)place;
    }
    return length;
}

static void check_partial(struct check *check, struct hak_heap *heap, unsigned bin) {
    const struct hak_slab *last = NULL;
    for (const struct hak_slab *slab = heap->classes[bin].partial; slab != NULL;
         slab = slab->next) {
        equal(check, "partial slab's state", slab->state, HAK_SLAB_PARTIAL, slab);
        equal(check, "partial slab's bin", slab->class, bin, slab);
        equal(check, "partial slab's home", slab->home == &heap->home, true, slab);
        equal(check, "partial slab has free blocks", slab->used < slab->capacity, true, slab);
        if (!equal(check, "partial list's back link", slab->prev == last, true, slab)) break;
        check->listed_partial++;
        last = slab;
    }
}

static void check_current(struct check *check, struct hak_heap *heap, unsigned bin) {
    const struct hak_slab *slab = heap->classes[bin].current;
    if (slab == NULL) return;
    check->listed_current++;
    equal(check, "current slab's state", slab->state, HAK_SLAB_CURRENT, slab);
    equal(check, "current slab's bin", slab->class, bin, slab);
    equal(check, "current slab's home is reclaimed by its heap",
          hak_home_owned_by(slab->home, heap), true, slab);
}

static bool is_slab(const struct check *check, const struct hak_slab *slab) {
    uintptr_t offset = (uintptr_t)slab - hak_range.map;
    return offset / HAK_MAP_ENTRY_SIZE < check->top && offset % HAK_MAP_ENTRY_SIZE == 0 &&
           hak_kind_of(hak_slab_first_granule(slab)) == HAK_KIND_SLAB;
}

/* Each epoch of a remote list has one notification (remote.h). */
static void check_notified(struct check *check, struct hak_heap *heap) {
    const struct hak_slab *slab = atomic_load_explicit(&heap->home.notified, memory_order_acquire);
    for (; slab != NULL; slab = slab->notify_next) {
        if (!equal(check, "notified slab is a slab", is_slab(check, slab), true, slab)) break;
        uint8_t *mark = places_of(check, slab) + NOTIFIED_AT;
        if (!equal(check, "slab is notified once", *mark, PLACE_NONE, slab)) break;
        equal(check, "notified slab's home", slab->home == &heap->home, true, slab);
        *mark = PLACE_NOTIFIED;
    }
}

static void check_heap(struct hak_heap *heap, void *context) {
    struct check *check = context;
    check->result->heaps++;
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++) {
        size_t length = walk(check, hak_bin_first(heap, bin), bin, NULL, PLACE_BIN);
        equal(check, "count(bin) = length(bin)", hak_bin_count(heap, bin), length,
              &heap->heads[HAK_CLASS_HEADER(bin)]);
        check->result->in_bins += length;
        check_partial(check, heap, bin);
        check_current(check, heap, bin);
    }
    check_notified(check, heap);
}

static void each_superslab(struct check *check, void (*visit)(const struct hak_superslab *, void *),
                           void *context) {
    for (uint32_t granule = 0; granule < check->top; granule += 16) {
        const struct hak_superslab *ss = hak_superslab_record(granule);
        if (hak_superslab_is_used(ss)) visit(ss, context);
    }
}

/* The SuperSlabs of one home, by the SuperSlab table. */
struct owned {
    const struct hak_home *home;
    const struct hak_superslab *spare; /* in no list */
    uint32_t superslabs, arena_mib, open[2];
};

static void add_owned(const struct hak_superslab *ss, void *context) {
    struct owned *owned = context;
    if (ss->home != owned->home) return;
    owned->superslabs++;
    if (ss->pool) owned->arena_mib += (uint32_t)(hak_superslab_bytes(ss) >> 20);
    if (ss->free_mask != 0 && ss != owned->spare) owned->open[ss->pool]++;
}

static uint32_t check_open(struct check *check, const struct hak_heap *heap, unsigned pool) {
    uint32_t length = 0;
    const struct hak_superslab *last = NULL;
    for (const struct hak_superslab *ss = heap->open[pool]; ss != NULL; ss = ss->next, length++) {
        if (!equal(check, "open SuperSlab's back link", ss->prev == last, true, ss)) break;
        equal(check, "open SuperSlab's home", ss->home == &heap->home, true, ss);
        equal(check, "open SuperSlab has free units", ss->free_mask != 0, true, ss);
        equal(check, "open SuperSlab's kind", ss->pool, pool, ss);
        last = ss;
    }
    return length;
}

static void check_owned(struct hak_heap *heap, void *context) {
    struct check *check = context;
    struct owned owned = {.home = &heap->home, .spare = heap->spare};
    each_superslab(check, add_owned, &owned);
    equal(check, "SuperSlabs of a heap", heap->superslabs, owned.superslabs, heap);
    equal(check, "MiB of a heap's pool arena", heap->arena.mib, owned.arena_mib, heap);
    if (heap->spare != NULL)
        equal(check, "all units of a heap's spare SuperSlab are free", heap->spare->free_mask,
              heap->spare->usable_mask, heap->spare);
    for (unsigned pool = 0; pool < 2; pool++)
        equal(check, "open SuperSlabs = SuperSlabs with free units", check_open(check, heap, pool),
              owned.open[pool], heap);
    check->owned += owned.superslabs;
}

/* A carved block that was found in no list must have the header of a live block. */
static void check_live(struct check *check, const struct hak_slab *slab) {
    const uint8_t *marks = places_of(check, slab);
    size_t listed = 0;
    const uint32_t end = hak_slab_carved_end(slab);
    for (uint32_t i = 0; i < end; i++) {
        if (!hak_slab_is_carved(slab, i)) continue;
        if (marks[i] == PLACE_FREELIST) listed++;
        if (marks[i] != PLACE_NONE) continue;
        uint8_t header = hak_header_of(hak_slab_block(slab, i));
        check->result->live++;
        equal(check, "block in no list is live",
              header == HAK_CLASS_HEADER(slab->class) || header == HAK_HEADER_CONTAINER, true,
              hak_slab_block(slab, i));
    }
    equal(check, "used = carved - length(freelist)", slab->used, slab->carved - listed, slab);
    equal(check, "a slab with a remote list is notified", marks[NOTIFIED_AT] == PLACE_NOTIFIED,
          hak_remote_count(slab) != 0, slab);
}

static void check_slab_lists(struct check *check, const struct hak_slab *slab) {
    check->result->slabs++;
    at_most(check, "carved <= capacity", slab->carved, slab->capacity, slab);
    at_most(check, "used <= carved", slab->used, slab->carved, slab);
    equal(check, "capacity", slab->capacity,
          hak_slab_capacity(slab->class, (size_t)hak_slab_granules(slab) << HAK_GRANULE_SHIFT),
          slab);
    size_t length = walk(check, slab->freelist, slab->class, slab, PLACE_FREELIST);
    check->result->in_freelists += length;
    check->result->uncarved += (size_t)(slab->capacity - slab->carved);
    uint64_t word = atomic_load_explicit(&slab->remote, memory_order_acquire);
    length = walk(check, hak_remote_word_head(word), slab->class, slab, PLACE_REMOTE);
    equal(check, "count(remote) = length(remote)", hak_remote_word_count(word), length, slab);
    at_most(check, "count(remote) <= used", length, slab->used, slab);
    check->result->in_remote_lists += length;
    for (uint32_t i = 1; i < hak_slab_granules(slab); i++) {
        uint32_t granule = hak_slab_first_granule(slab) + i;
        equal(check, "slab's tail", hak_kind_of(granule), HAK_KIND_SLAB_TAIL, slab);
        equal(check, "slab's tail leads back", hak_slab_of_granule(granule) == slab, true, slab);
    }
}

static void check_superslab(const struct hak_superslab *ss, void *context) {
    struct check *check = context;
    size_t record =
        (size_t)((const char *)ss - (const char *)hak_superslab_record(0)) / HAK_SUPERSLAB_RECORD;
    if (!equal(check, "SuperSlab's record is that of its first granule", ss->first, record * 16,
               ss))
        return;
    uint32_t taken = 0, purged = 0; /* units of slabs; units with purged pages */
    uint64_t used = 0;
    check->result->superslabs++;
    for (uint32_t unit = 0; unit < ss->units; unit++)
        purged |= (uint32_t)(ss->purged_pages[unit] != 0) << unit;
    for (uint32_t unit = 0; unit < ss->units; unit++) {
        uint32_t granule = ss->first + unit;
        const struct hak_slab *slab = hak_map_entry(granule);
        if ((taken >> unit & 1) == 0 && hak_kind_of(granule) != HAK_KIND_SLAB)
            equal(check, "kind of a unit in no slab", hak_kind_of(granule), HAK_KIND_NONE, slab);
        if (hak_kind_of(granule) != HAK_KIND_SLAB) continue;
        uint32_t units = hak_classes[slab->class].units;
        equal(check, "slab's SuperSlab", slab->superslab_first, ss->first, slab);
        equal(check, "slab's unit", slab->unit, unit, slab);
        equal(check, "slab's home = SuperSlab's home", slab->home == ss->home, true, slab);
        const uint32_t mask = hak_units_of(units) << unit;
        equal(check, "a slab that has purged pages says so", slab->has_purged_pages,
              (purged & mask) != 0, slab);
        taken |= mask;
        used += slab->used;
    }
    equal(check, "units in no slab have no purged pages", purged & ~taken, 0, ss);
    equal(check, "active = sum of used", ss->active, used, ss);
    equal(check, "free_mask = units in no slab", ss->free_mask, ss->usable_mask & ~taken, ss);
    equal(check, "dirty units are free", ss->dirty_mask & ~ss->free_mask, 0, ss);
    const uint32_t committed = hak_units_of(ss->committed_units);
    equal(check, "units of slabs, and dirty ones, are committed",
          (taken | ss->dirty_mask) & ~committed, 0, ss);
    equal(check, "units that wait are dirty", ss->waits_mask & ~ss->dirty_mask, 0, ss);
}

static void each_slab(struct check *check, void (*visit)(struct check *, const struct hak_slab *)) {
    for (uint32_t granule = HAK_GRANULE_FIRST; granule < check->top; granule++)
        if (hak_kind_of(granule) == HAK_KIND_SLAB) visit(check, hak_map_entry(granule));
}

static void check_state(struct check *check, const struct hak_slab *slab) {
    if (slab->state == HAK_SLAB_PARTIAL) check->partial++;
    if (slab->state == HAK_SLAB_CURRENT) check->current++;
    if (slab->state == HAK_SLAB_UNLISTED)
        equal(check, "a slab in no list is full", slab->used, slab->capacity, slab);
}

static void add_used(struct check *check, const struct hak_slab *slab) {
    (void)check;
    struct hak_heap_class *class = &hak_heap_of_home(slab->home)->classes[slab->class];
    uint32_t sum = atomic_load_explicit(&class->used_shown, memory_order_relaxed) - slab->used;
    atomic_store_explicit(&class->used_shown, sum, memory_order_relaxed);
}

static void take_back_used(struct check *check, const struct hak_slab *slab) {
    (void)check;
    struct hak_heap_class *class = &hak_heap_of_home(slab->home)->classes[slab->class];
    uint32_t sum = atomic_load_explicit(&class->used_shown, memory_order_relaxed) + slab->used;
    atomic_store_explicit(&class->used_shown, sum, memory_order_relaxed);
}

static void check_used_shown(struct hak_heap *heap, void *context) {
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        equal(context, "used_shown = sum of used",
              atomic_load_explicit(&heap->classes[bin].used_shown, memory_order_relaxed), 0, heap);
}

/* The marks of a small heap are kept for the next check, all PLACE_NONE, because fuzzers check the
 * heap after every refill and flush. */
#define KEPT_BYTES ((size_t)1 << 20)
static _Atomic(uint8_t *) kept_places;

static uint8_t *places_take(size_t bytes) {
    if (bytes < KEPT_BYTES) bytes = KEPT_BYTES;
    uint8_t *places = bytes > KEPT_BYTES ? NULL : atomic_exchange(&kept_places, NULL);
    if (places != NULL) return places;
    places = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                  -1, 0);
    return places == MAP_FAILED ? NULL : places;
}

static void places_clear(struct check *check, const struct hak_slab *slab) {
    memset(places_of(check, slab), PLACE_NONE, hak_slab_carved_end(slab));
    places_of(check, slab)[NOTIFIED_AT] = PLACE_NONE;
}

static void places_return(struct check *check, size_t bytes) {
    if (bytes < KEPT_BYTES) bytes = KEPT_BYTES;
    uint8_t *places = check->places;
    if (bytes == KEPT_BYTES && check->result->faults == 0) {
        each_slab(check, places_clear);
        places = atomic_exchange(&kept_places, places);
    }
    if (places != NULL) munmap(places, bytes);
}

bool hak_check_heap(struct hak_heap_check *result) {
    memset(result, 0, sizeof *result);
    if (!hak_range_is_there()) return true;
    struct check check = {.result = result, .top = hak_range_top()};
    if (!hak_check_bounds(&check)) return false;
    size_t bytes = (size_t)check.top * BLOCKS_A_GRANULE;
    check.places = places_take(bytes);
    if (check.places == NULL) {
        fault(&check, "memory for the check", bytes, 0, NULL);
        return false;
    }
    each_slab(&check, check_slab_lists);
    hak_heap_each(check_heap, &check);
    hak_heap_each(check_owned, &check);
    each_slab(&check, check_live);
    each_slab(&check, check_state);
    equal(&check, "listed partial slabs = partial slabs", check.listed_partial, check.partial,
          NULL);
    equal(&check, "current slabs of heaps = current slabs", check.listed_current, check.current,
          NULL);
    each_superslab(&check, check_superslab, &check);
    /* Subtracts each slab's `used`, compares with zero and adds it again: no memory for sums. */
    each_slab(&check, add_used);
    hak_heap_each(check_used_shown, &check);
    each_slab(&check, take_back_used);
    hak_check_range(&check);
    hak_check_hand_over(&check);
    places_return(&check, bytes);
    return result->faults == 0;
}
