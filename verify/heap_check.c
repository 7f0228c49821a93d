#include "verify/heap_check.h"

#include <string.h>
#include <sys/mman.h>

#include "core/heap.h"
#include "core/large.h"
#include "core/text.h"

#define FAULTS_SHOWN 20

/* Where a block was found: a byte a block. Reserved for the smallest stride, touched only where there are
 * slabs. */
enum place { PLACE_NONE = 0, PLACE_FREELIST, PLACE_REMOTE, PLACE_BIN };

#define BLOCKS_A_GRANULE (HAK_GRANULE / 16)

struct check {
    struct hak_heap_check *result;
    uint8_t *places; /* BLOCKS_A_GRANULE bytes a granule */
    uint32_t top;
};

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
    hak_text_add(&line, ", at ");
    hak_text_add_pointer(&line, where);
    hak_text_print(&line);
}

static bool equal(struct check *check, const char *equation, uint64_t left, uint64_t right,
                  const void *where) {
    check->result->equations++;
    if (left == right) return true;
    fault(check, equation, left, right, where);
    return false;
}

static bool at_most(struct check *check, const char *equation, uint64_t left, uint64_t right,
                    const void *where) {
    check->result->equations++;
    if (left <= right) return true;
    fault(check, equation, left, right, where);
    return false;
}

/* Walks a list of free blocks of one bin; each must be one of `slab`, or of any slab if that is NULL, and be
 * in no other list. Stops at the first fault, so that a broken link is not followed. Returns the length. */
static size_t walk(struct check *check, const struct hak_block *block, unsigned bin,
                   const struct hak_slab *slab, enum place place) {
    size_t length = 0;
    for (; block != NULL; block = block->next, length++) {
        if (!equal(check, "list stays in the range", hak_range_has(block), true, block)) break;
        const struct hak_slab *found = hak_slab_find(block);
        if (!equal(check, "listed block lies in a slab", found != NULL, true, block)) break;
        if (slab != NULL && !equal(check, "listed block lies in its slab", found == slab, true, block)) break;
        if (!equal(check, "bin of list = bin of slab", bin, found->bin, block)) break;
        if (!equal(check, "listed block is a block", hak_slab_owns(found, block), true, block)) break;
        at_most(check, "listed block was carved", hak_slab_index(found, block) + 1, found->carved, block);
        equal(check, "header of listed block", hak_header_of(block), HAK_BIN_HEADER_FREE(bin), block);
        uint8_t *mark = &check->places[(size_t)hak_slab_first_granule(found) * BLOCKS_A_GRANULE +
                                       hak_slab_index(found, block)];
        if (!equal(check, "block is in one list only", *mark, PLACE_NONE, block)) break;
        *mark = (uint8_t)place;
    }
    return length;
}

static void check_bins(struct hak_heap *heap, void *context) {
    struct check *check = context;
    check->result->heaps++;
    for (unsigned bin = 0; bin < HAK_BINS; bin++) {
        const struct hak_bin *b = &heap->bins[bin];
        size_t length = walk(check, b->head, bin, NULL, PLACE_BIN);
        equal(check, "count(bin) = length(bin)", b->count, length, b);
        check->result->in_bins += length;
        const struct hak_slab *last = NULL;
        for (const struct hak_slab *slab = heap->classes[bin].partial; slab != NULL; slab = slab->next) {
            equal(check, "partial slab's state", slab->state, HAK_SLAB_PARTIAL, slab);
            equal(check, "partial slab's bin", slab->bin, bin, slab);
            equal(check, "partial slab's home", slab->home == &heap->home, true, slab);
            equal(check, "partial slab has free blocks", slab->used < slab->capacity, true, slab);
            if (!equal(check, "partial list's back link", slab->prev == last, true, slab)) break;
            last = slab;
        }
        const struct hak_slab *current = heap->classes[bin].current;
        if (current != NULL) equal(check, "current slab's state", current->state, HAK_SLAB_CURRENT, current);
    }
}

static void check_open(struct hak_heap *heap, void *context) {
    struct check *check = context;
    for (unsigned pool = 0; pool < 2; pool++)
        for (const struct hak_superslab *ss = heap->open[pool]; ss != NULL; ss = ss->next) {
            equal(check, "open SuperSlab's home", ss->home == &heap->home, true, ss);
            equal(check, "open SuperSlab has free units", ss->free_mask != 0, true, ss);
            equal(check, "open SuperSlab's kind", ss->pool, pool, ss);
        }
}

/* Blocks of the slab that were in no list must be live, and say so. */
static void check_live(struct check *check, const struct hak_slab *slab) {
    const uint8_t *marks = &check->places[(size_t)hak_slab_first_granule(slab) * BLOCKS_A_GRANULE];
    size_t listed = 0;
    for (uint32_t i = 0; i < slab->carved; i++) {
        if (marks[i] == PLACE_FREELIST) listed++;
        if (marks[i] != PLACE_NONE) continue;
        uint8_t header = hak_header_of(hak_slab_block(slab, i));
        check->result->live++;
        equal(check, "block in no list is live",
              header == HAK_BIN_HEADER(slab->bin) || header == HAK_HEADER_CONTAINER, true,
              hak_slab_block(slab, i));
    }
    equal(check, "used = carved - length(freelist)", slab->used, slab->carved - listed, slab);
}

static void check_slab_lists(struct check *check, const struct hak_slab *slab) {
    check->result->slabs++;
    at_most(check, "carved <= capacity", slab->carved, slab->capacity, slab);
    at_most(check, "used <= carved", slab->used, slab->carved, slab);
    equal(check, "capacity", slab->capacity,
          hak_slab_capacity(slab->bin, (size_t)slab->granules << HAK_GRANULE_SHIFT), slab);
    size_t length = walk(check, slab->freelist, slab->bin, slab, PLACE_FREELIST);
    check->result->in_freelists += length;
    check->result->uncarved += (size_t)(slab->capacity - slab->carved);
    uint64_t word = atomic_load_explicit(&slab->remote, memory_order_acquire);
    length = walk(check, hak_remote_word_head(word), slab->bin, slab, PLACE_REMOTE);
    equal(check, "count(remote) = length(remote)", hak_remote_word_count(word), length, slab);
    at_most(check, "count(remote) <= used", length, slab->used, slab);
    check->result->in_remote_lists += length;
    for (uint32_t i = 1; i < slab->granules; i++) {
        uint32_t granule = hak_slab_first_granule(slab) + i;
        equal(check, "slab's tail", hak_kind_of(granule), HAK_KIND_SLAB_TAIL, slab);
        equal(check, "slab's tail leads back", hak_slab_of_granule(granule) == slab, true, slab);
    }
}

static void check_superslab(struct check *check, const struct hak_superslab *ss) {
    uint32_t granules_a_unit = 1u << (ss->unit_shift - HAK_GRANULE_SHIFT);
    uint32_t taken = 0;
    uint64_t used = 0;
    check->result->superslabs++;
    for (uint32_t unit = 0; unit < ss->units; unit++) {
        uint32_t granule = ss->first + unit * granules_a_unit;
        if (hak_kind_of(granule) != HAK_KIND_SLAB) continue;
        const struct hak_slab *slab = hak_slot_address(granule);
        uint32_t units = hak_classes[slab->bin].units;
        equal(check, "slab's SuperSlab", slab->superslab_first, ss->first, slab);
        equal(check, "slab's unit", slab->unit, unit, slab);
        equal(check, "slab's granules", slab->granules, units * granules_a_unit, slab);
        equal(check, "slab's home = SuperSlab's home", slab->home == ss->home, true, slab);
        for (uint32_t i = 0; i < units; i++)
            taken |= 1u << (unit + i);
        used += slab->used;
    }
    equal(check, "active = sum of used", ss->active, used, ss);
    equal(check, "free_mask = units in no slab", ss->free_mask, ss->all_mask & ~taken, ss);
    equal(check, "dirty units are free", ss->dirty_mask & ~ss->free_mask, 0, ss);
}

static void each_slab(struct check *check, void (*visit)(struct check *, const struct hak_slab *)) {
    for (uint32_t granule = 1; granule < check->top; granule++)
        if (hak_kind_of(granule) == HAK_KIND_SLAB) visit(check, hak_slot_address(granule));
}

static void add_used(struct check *check, const struct hak_slab *slab) {
    (void)check;
    struct hak_heap_class *class = &hak_heap_of_home(slab->home)->classes[slab->bin];
    uint32_t sum = atomic_load_explicit(&class->used_shown, memory_order_relaxed) - slab->used;
    atomic_store_explicit(&class->used_shown, sum, memory_order_relaxed);
}

static void take_back_used(struct check *check, const struct hak_slab *slab) {
    (void)check;
    struct hak_heap_class *class = &hak_heap_of_home(slab->home)->classes[slab->bin];
    uint32_t sum = atomic_load_explicit(&class->used_shown, memory_order_relaxed) + slab->used;
    atomic_store_explicit(&class->used_shown, sum, memory_order_relaxed);
}

static void check_used_shown(struct hak_heap *heap, void *context) {
    for (unsigned bin = 0; bin < HAK_BINS; bin++)
        equal(context, "used_shown = sum of used",
              atomic_load_explicit(&heap->classes[bin].used_shown, memory_order_relaxed), 0, heap);
}

static void check_large(struct check *check) {
    size_t cached = 0;
    for (uint32_t granule = 1; granule < check->top; granule++) {
        enum hak_kind kind = hak_kind_of(granule);
        const struct hak_large *large = hak_large_at(granule);
        if (kind == HAK_KIND_LARGE) {
            check->result->large++;
            equal(check, "large block's record", hak_granule_of((char *)large->user - 1), granule, large);
            equal(check, "large block's header", hak_header_of(large->user), HAK_HEADER_LARGE, large->user);
            at_most(check, "large block ends in its run", large->size, hak_large_usable(large), large);
        } else if (kind == HAK_KIND_CACHED) {
            cached += (size_t)large->granules << HAK_GRANULE_SHIFT;
        }
    }
    equal(check, "bytes of the BigCache", hak_bigcache_bytes(), cached, NULL);
    equal(check, "live large blocks", hak_large_stats().live_blocks, check->result->large, NULL);
}

/* The marks of small heaps are kept from one check to the next, all PLACE_NONE: fuzzers check after every batch. */
#define KEPT_BYTES ((size_t)1 << 20)
static _Atomic(uint8_t *) kept_places;

static uint8_t *places_take(size_t bytes) {
    if (bytes < KEPT_BYTES) bytes = KEPT_BYTES;
    uint8_t *places = bytes > KEPT_BYTES ? NULL : atomic_exchange(&kept_places, NULL);
    if (places != NULL) return places;
    places = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return places == MAP_FAILED ? NULL : places;
}

static void places_clear(struct check *check, const struct hak_slab *slab) {
    memset(&check->places[(size_t)hak_slab_first_granule(slab) * BLOCKS_A_GRANULE], PLACE_NONE, slab->carved);
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
    size_t bytes = (size_t)check.top * BLOCKS_A_GRANULE;
    check.places = places_take(bytes);
    if (check.places == NULL) {
        fault(&check, "memory for the check", bytes, 0, NULL);
        return false;
    }
    each_slab(&check, check_slab_lists);
    hak_heap_each(check_bins, &check);
    hak_heap_each(check_open, &check);
    each_slab(&check, check_live);
    for (uint32_t granule = 0; granule < check.top; granule += 16) {
        const struct hak_superslab *ss = hak_superslab_record(granule);
        if (atomic_load_explicit(&ss->in_use, memory_order_acquire)) check_superslab(&check, ss);
    }
    each_slab(&check, add_used); /* subtracts, compares with zero, restores: no memory for sums is needed */
    hak_heap_each(check_used_shown, &check);
    each_slab(&check, take_back_used);
    check_large(&check);
    places_return(&check, bytes);
    return result->faults == 0;
}
