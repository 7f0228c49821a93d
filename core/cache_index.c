/* What is in the cache: entries in lists by length, in a list by age, and in the page map, where
 * neighbours find each other. All under the cache's lock. */
#include "core/cache_parts.h"

struct hak_cache_index hak_cache_index;

size_t hak_cache_bytes(void) {
    return __atomic_load_n(&hak_footprint.cached, __ATOMIC_RELAXED);
}

static void granules_add(uint32_t change) {
    cache->granules += change;
    atomic_store_explicit(&hak_footprint.balance, hak_cache_balance(), memory_order_relaxed);
    __atomic_store_n(&hak_footprint.cached, (size_t)cache->granules << HAK_GRANULE_SHIFT,
                     __ATOMIC_RELAXED);
}

/* ---- lists by length ------------------------------------------------------------------------- */

HAK_INLINE void list_insert(uint32_t first) {
    struct hak_large *large = hak_large_at(first);
    const unsigned list = hak_span_list_of(large->granules);
    const uint32_t next = cache->by_length.lists[list];
    large->next = next;
    large->previous = 0;
    if (next != 0) hak_large_at(next)->previous = first;
    cache->by_length.lists[list] = first;
    cache->by_length.nonempty[list / 64] |= (uint64_t)1 << (list % 64);
}

HAK_INLINE void list_remove(uint32_t first) {
    const struct hak_large *large = hak_large_at(first);
    const unsigned list = hak_span_list_of(large->granules);
    uint32_t *head = &cache->by_length.lists[list];
    HAK_CHECK(large->previous != 0 || *head == first);
    if (large->previous != 0)
        hak_large_at(large->previous)->next = large->next;
    else
        *head = large->next;
    if (large->next != 0) hak_large_at(large->next)->previous = large->previous;
    if (*head == 0) cache->by_length.nonempty[list / 64] &= ~((uint64_t)1 << (list % 64));
}

/* ---- ends, ages ------------------------------------------------------------------------------ */

/* Marks both ends of a cached span, so that its neighbours find it. ends_unmark: the span is taken
 * from here on. */
HAK_INLINE void ends_mark(uint32_t first) {
    uint32_t last = first + hak_large_at(first)->granules - 1;
    hak_large_at(first)->span = hak_large_at(last)->span = first;
    hak_kind_set(first, HAK_KIND_CACHED);
    hak_kind_set(last, HAK_KIND_CACHED);
}

HAK_INLINE void ends_unmark(uint32_t first) {
    uint32_t last = first + hak_large_at(first)->granules - 1;
    hak_kind_set(last, HAK_KIND_NONE);
    hak_kind_set(first, HAK_KIND_TAKEN);
}

static void age_remove(uint32_t first) {
    struct hak_large *large = hak_large_at(first);
    HAK_ASSERT((large->newer != 0 ? hak_large_at(large->newer)->older : cache->newest) == first);
    if (large->newer != 0)
        hak_large_at(large->newer)->older = large->older;
    else
        cache->newest = large->older;
    if (large->older != 0)
        hak_large_at(large->older)->newer = large->newer;
    else
        cache->oldest = large->newer;
}

/* Links an entry into the list by age, between the entries that it names as newer and older. */
HAK_INLINE void age_link(uint32_t first) {
    struct hak_large *large = hak_large_at(first);
    if (large->newer != 0)
        hak_large_at(large->newer)->older = first;
    else
        cache->newest = first;
    if (large->older != 0)
        hak_large_at(large->older)->newer = first;
    else
        cache->oldest = first;
}

/* Puts an entry into the place of `old`, which ceases to be one, in the list by age. */
static void age_replace(uint32_t old, uint32_t first) {
    struct hak_large *large = hak_large_at(first);
    large->since = hak_large_at(old)->since;
    large->newer = hak_large_at(old)->newer;
    large->older = hak_large_at(old)->older;
    age_link(first);
}

static void entry_insert(uint32_t first, uint32_t now) {
    struct hak_large *large = hak_large_at(first);
    large->since = now;
    large->newer = 0;
    large->older = cache->newest;
    age_link(first);
    list_insert(first);
    ends_mark(first);
    cache->entries++;
    cache->clean += large->clean;
    granules_add(large->granules);
}

static void entry_remove(uint32_t first) {
    struct hak_large *large = hak_large_at(first);
    HAK_CHECK(hak_kind_of(first) == HAK_KIND_CACHED && large->span == first);
    list_remove(first);
    age_remove(first);
    ends_unmark(first);
    large->next = large->previous = large->newer = large->older = 0;
    cache->entries--;
    cache->clean -= large->clean;
    granules_add(-large->granules);
    HAK_ASSERT((cache->entries == 0) == (cache->granules == 0));
}

/* Takes the last granules off an entry that has more. The rest keeps its age. */
static uint32_t entry_cut(uint32_t first, uint32_t granules) {
    struct hak_large *large = hak_large_at(first);
    HAK_CHECK(large->granules > granules && !large->is_superslab);
    list_remove(first);
    ends_unmark(first);
    large->granules -= granules;
    ends_mark(first);
    list_insert(first);
    granules_add(-granules);
    hak_span_set_taken(first + large->granules, granules);
    return first + large->granules;
}

/* The same with its first granules. */
static void entry_cut_front(uint32_t first, uint32_t granules) {
    struct hak_large *large = hak_large_at(first);
    HAK_CHECK(large->granules > granules && !large->is_superslab);
    uint32_t rest = first + granules;
    list_remove(first);
    ends_unmark(first);
    hak_large_at(rest)->first = rest;
    hak_large_at(rest)->granules = large->granules - granules;
    hak_large_at(rest)->clean = 0;
    hak_large_at(rest)->is_superslab = false;
    large->granules = granules;
    age_replace(first, rest);
    ends_mark(rest);
    list_insert(rest);
    large->next = large->previous = large->newer = large->older = 0;
    granules_add(-granules);
}

/* Makes two entries of the same age out of one: its first `granules` granules, and the others. */
static void entry_split(uint32_t first, uint32_t granules) {
    struct hak_large *large = hak_large_at(first), *rest = hak_large_at(first + granules);
    HAK_CHECK(granules > 0 && large->granules > granules && !large->is_superslab);
    list_remove(first);
    ends_unmark(first);
    rest->first = first + granules;
    rest->granules = large->granules - granules;
    rest->clean = 0;
    rest->is_superslab = false;
    rest->since = large->since;
    rest->older = first;
    rest->newer = large->newer;
    age_link(first + granules);
    large->granules = granules;
    ends_mark(first);
    list_insert(first);
    ends_mark(first + granules);
    list_insert(first + granules);
    cache->entries++;
}

/* Two neighbours become one entry, as old as the longer of them. So a short span that is used all
 * the time does not keep a long old one in the cache, and a short old span does not evict a long
 * one that is used all the time. */
static void entries_join(uint32_t first, uint32_t behind) {
    struct hak_large *left = hak_large_at(first), *right = hak_large_at(behind);
    HAK_CHECK(first + left->granules == behind && left->span == first && right->span == behind);
    list_remove(first);
    list_remove(behind);
    ends_unmark(first);
    ends_unmark(behind);
    hak_kind_set(behind, HAK_KIND_NONE);
    if (left->granules >= right->granules) {
        age_remove(behind);
    } else {
        age_remove(first);
        age_replace(behind, first);
    }
    left->granules += right->granules;
    ends_mark(first);
    list_insert(first);
    cache->entries--;
}

static bool can_be_joined(uint32_t granule) {
    if (hak_kind_of(granule) != HAK_KIND_CACHED) return false;
    return !hak_large_at(hak_large_at(granule)->span)->is_superslab;
}

/* Returns the first granule of what becomes of the entry. */
static uint32_t join_neighbours(uint32_t first) {
    uint32_t behind = first + hak_large_at(first)->granules;
    if (hak_granule_is_below_end(behind) && can_be_joined(behind)) entries_join(first, behind);
    if (!can_be_joined(first - 1)) return first;
    uint32_t before = hak_large_at(first - 1)->span;
    entries_join(before, first);
    return before;
}

/* An entry is about to be cut: it becomes one like others, if it is a SuperSlab's. Returns its
 * first granule. */
static uint32_t entry_open(uint32_t first) {
    struct hak_large *large = hak_large_at(first);
    if (!large->is_superslab) return first;
    cache->clean -= large->clean;
    large->clean = 0;
    large->is_superslab = false;
    return join_neighbours(first);
}

void hak_cache_insert(uint32_t first, uint32_t now) {
    HAK_ASSERT(hak_large_at(first)->is_superslab || hak_large_at(first)->clean == 0);
    if (hak_large_at(first)->is_superslab) cache->exchanged -= hak_large_at(first)->granules;
    entry_insert(first, now);
    if (!hak_large_at(first)->is_superslab) join_neighbours(first);
}

/* ---- entries to be taken --------------------------------------------------------------------- */

/* Entries of each list: their lengths differ, and where they begin, and some are partly clean. */
#define ENTRIES_TRIED 32

/* The shortest entry of `granules` or more, of those that are tried; 0: none. */
HAK_NOINLINE static uint32_t fit_find(uint32_t granules) {
    const struct hak_span_index *index = &cache->by_length;
    for (unsigned list = hak_span_next_list(index, hak_span_list_of(granules));
         list < HAK_SPAN_LISTS; list = hak_span_next_list(index, list + 1)) {
        uint32_t found = 0, length = UINT32_MAX, tried = 0;
        for (uint32_t entry = index->lists[list]; entry != 0 && tried < ENTRIES_TRIED; tried++) {
            const uint32_t have = hak_large_at(entry)->granules;
            if (hak_large_at(entry)->clean == 0) {
                if (have == granules) return entry;
                if (have > granules && have < length) found = entry, length = have;
            }
            entry = hak_large_at(entry)->next;
        }
        if (found != 0) return found;
    }
    return 0;
}

#define PLACES_TRIED 16 /* for one that `of` had, once another was found */

/* An entry, and where aligned granules lie in it; 0: none. */
struct place {
    uint32_t entry, at;
};

/* Looks for `count` aligned granules in an entry: those that the home `of` had last, because the
 * processor's caches may still hold lines of its slabs, else the first ones, as slabs are made in
 * the first units. False: look no further. */
static bool place_find(uint32_t entry, uint32_t count, const void *of, uint32_t *places,
                       struct place *found) {
    const uint32_t end = entry + hak_large_at(entry)->granules;
    for (uint32_t at = (uint32_t)hak_round_up(entry, count); at + count <= end; at += count) {
        const bool had = hak_superslab_last_home(at) == of;
        if (found->at == 0 || had) *found = (struct place){.entry = entry, .at = at};
        if (had || ++*places == PLACES_TRIED) return false;
    }
    return true;
}

/* The same in the shortest entries, of at most `longest` granules. */
static struct place aligned_find(uint32_t count, uint32_t longest, const void *of) {
    const struct hak_span_index *index = &cache->by_length;
    const unsigned end =
        longest < hak_range.granules ? hak_span_list_of(longest) + 1 : HAK_SPAN_LISTS;
    struct place found = {.at = 0};
    uint32_t places = 0;
    for (unsigned list = hak_span_next_list(index, hak_span_list_of(count)); list < end;
         list = hak_span_next_list(index, list + 1)) {
        uint32_t entry = index->lists[list];
        for (uint32_t tried = 0; entry != 0 && tried < ENTRIES_TRIED; tried++) {
            if (!place_find(entry, count, of, &places, &found)) return found;
            entry = hak_large_at(entry)->next;
        }
    }
    return found;
}

bool hak_cache_has_entry(uint32_t granules) {
    return fit_find(granules) != 0;
}

uint32_t hak_cache_take(uint32_t granules) {
    uint32_t found = cache->by_length.lists[hak_span_list_of(granules)];
    if (HAK_LIKELY(found != 0 && hak_large_at(found)->granules == granules &&
                   hak_large_at(found)->clean == 0)) {
        entry_remove(found);
        return found;
    }
    found = fit_find(granules);
    if (found == 0) return 0;
    const uint32_t have = hak_large_at(found)->granules;
    if (have > granules && have > hak_large_round_up(granules + 1))
        return entry_cut(entry_open(found), granules);
    entry_remove(found);
    return found;
}

struct hak_cached hak_cache_take_aligned(uint32_t count, uint32_t longest, const void *of) {
    const struct place found = aligned_find(count, longest, of);
    if (found.at == 0) return (struct hak_cached){.first = 0};
    const struct hak_large *large = hak_large_at(found.entry);
    const bool is_superslab = large->is_superslab && large->granules == count;
    const struct hak_cached taken = {found.at, large->since, is_superslab};
    cache->exchanged += count;
    if (large->granules == count) {
        entry_remove(found.entry);
        return taken;
    }
    const uint32_t entry = entry_open(found.entry), until = found.at - entry + count;
    if (hak_large_at(entry)->granules > until) entry_split(entry, until);
    if (found.at > entry)
        entry_cut(entry, count);
    else
        entry_remove(entry);
    return taken;
}

bool hak_cache_take_from(uint32_t first, uint32_t granules) {
    if (!hak_granule_is_below_end(first) || hak_kind_of(first) != HAK_KIND_CACHED) return false;
    HAK_CHECK(hak_large_at(first)->span == first);
    if (hak_large_at(first)->granules < granules) return false;
    if (hak_large_at(first)->granules == granules) {
        entry_remove(first);
        return true;
    }
    const uint32_t entry = entry_open(first);
    HAK_CHECK(entry == first); /* the caller has the granule before */
    entry_cut_front(entry, granules);
    return true;
}

uint32_t hak_cache_take_oldest(uint32_t most) {
    const uint32_t oldest = cache->oldest;
    const struct hak_large *large = hak_large_at(oldest);
    if (large->granules > most && !large->is_superslab) return entry_cut(oldest, most);
    entry_remove(oldest);
    return oldest;
}

/* ---- for checks ------------------------------------------------------------------------------ */

struct hak_cache_state hak_cache_state(void) {
    return (struct hak_cache_state){.by_length = &cache->by_length,
                                    .entries = cache->entries,
                                    .newest = cache->newest,
                                    .oldest = cache->oldest,
                                    .clean = cache->clean};
}
