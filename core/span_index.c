/* Free spans and holes, in lists by length. All under the range's lock, except for
 * hak_span_describe. */
#include "core/range_parts.h"

static struct hak_span_index *index_of(enum hak_kind kind) {
    HAK_ASSERT(kind == HAK_KIND_FREE_SPAN || kind == HAK_KIND_HOLE);
    return kind == HAK_KIND_HOLE ? &range->holes : &range->free;
}

static void holes_add(uint32_t holes, size_t granules) {
    __atomic_store_n(&range->holes_now, range->holes_now + holes, __ATOMIC_RELAXED);
    range->hole_bytes += granules << HAK_GRANULE_SHIFT;
}

void hak_span_insert(uint32_t first, uint32_t count, enum hak_kind kind, bool dirty) {
    HAK_ASSERT(kind == HAK_KIND_FREE_SPAN || !dirty);
    unsigned list = hak_span_list_of(count);
    struct hak_span_index *index = index_of(kind);
    uint32_t next = index->lists[list];
    struct hak_free_span *span = hak_span_at(first);
    span->first = first; /* member by member, not the kind: other threads may read the kind */
    span->count = count;
    span->dirty = dirty;
    span->next = next;
    span->prev = 0;
    if (next != 0) hak_span_at(next)->prev = first;
    index->lists[list] = first;
    index->nonempty[list / 64] |= (uint64_t)1 << (list % 64);
    hak_kind_set(first, kind);
    if (count > 1) {
        struct hak_free_span *last = hak_span_at(first + count - 1);
        last->first = first;
        last->count = count;
        hak_kind_set(first + count - 1, kind);
    }
    if (kind == HAK_KIND_HOLE) holes_add(1, count);
    if (dirty) hak_range_kept_add(count);
}

void hak_span_remove(uint32_t first) {
    struct hak_free_span *span = hak_span_at(first);
    const enum hak_kind kind = (enum hak_kind)span->kind;
    HAK_CHECK(span->first == first && span->count > 0);
    unsigned list = hak_span_list_of(span->count);
    struct hak_span_index *index = index_of(kind);
    if (span->prev != 0)
        hak_span_at(span->prev)->next = span->next;
    else
        index->lists[list] = span->next;
    if (span->next != 0) hak_span_at(span->next)->prev = span->prev;
    if (index->lists[list] == 0) index->nonempty[list / 64] &= ~((uint64_t)1 << (list % 64));
    hak_kind_set(first, HAK_KIND_NONE);
    hak_kind_set(first + span->count - 1, HAK_KIND_NONE);
    if (kind == HAK_KIND_HOLE) holes_add(-1u, -(size_t)span->count);
    if (span->dirty) hak_range_kept_sub(span->count);
}

uint32_t hak_span_find(enum hak_kind kind, uint32_t count, uint32_t align, uint32_t most,
                       bool dirty) {
    const struct hak_span_index *index = index_of(kind);
    for (unsigned list = hak_span_next_list(index, hak_span_list_of(count)); list < HAK_SPAN_LISTS;
         list = hak_span_next_list(index, list + 1)) {
        uint32_t tried = 0;
        for (uint32_t first = index->lists[list]; first != 0 && tried < most; tried++) {
            struct hak_free_span *span = hak_span_at(first);
            uint32_t from = (uint32_t)hak_round_up(first, align);
            if ((uint64_t)from + count <= (uint64_t)first + span->count && span->dirty >= dirty)
                return first;
            first = span->next;
        }
    }
    return 0;
}

void hak_span_split(uint32_t first, uint32_t from, uint32_t count) {
    const enum hak_kind kind = hak_kind_of(first);
    const bool dirty = hak_span_at(first)->dirty;
    uint32_t end = first + hak_span_at(first)->count;
    HAK_CHECK(from >= first && from + count <= end);
    hak_span_remove(first);
    if (from > first) hak_span_insert(first, from - first, kind, dirty);
    if (from + count < end) hak_span_insert(from + count, end - from - count, kind, dirty);
}

bool hak_span_join(uint32_t *first, uint32_t *count, enum hak_kind kind) {
    const uint32_t end = *first + *count;
    bool dirty = false;
    if (hak_kind_of(*first - 1) == kind) {
        uint32_t before = hak_span_at(*first - 1)->first;
        *count += hak_span_at(before)->count;
        dirty = hak_span_at(before)->dirty;
        hak_span_remove(before);
        *first = before;
    }
    if (end < range->top && hak_kind_of(end) == kind) {
        *count += hak_span_at(end)->count;
        dirty |= hak_span_at(end)->dirty;
        hak_span_remove(end);
    }
    return dirty;
}

void hak_span_describe(uint32_t first, uint32_t count, bool dirty) {
    struct hak_free_span *span = hak_span_at(first);
    span->first = first;
    span->count = count;
    span->dirty = dirty;
    hak_kind_set(first, HAK_KIND_TAKEN);
}

void hak_span_index_clear(void) {
    hak_os_zero(&range->free, sizeof range->free);
    hak_os_zero(&range->holes, sizeof range->holes);
    holes_add(-range->holes_now, -(range->hole_bytes >> HAK_GRANULE_SHIFT));
}
