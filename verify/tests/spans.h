/* A set of live blocks whose extents must not overlap. */
#ifndef HAK_VERIFY_SPANS_H
#define HAK_VERIFY_SPANS_H

#include "test.h"

struct span {
    uintptr_t start;
    uintptr_t end; /* one past the last usable byte */
};

TEST_UNUSED static int spans_order(const void *left, const void *right) {
    const struct span *a = (const struct span *)left, *b = (const struct span *)right;
    return (a->start > b->start) - (a->start < b->start);
}

/* Sorts `spans`. Fails if a span begins before the previous one ends. */
TEST_UNUSED static void spans_check_disjoint(struct span *spans, size_t count) {
    qsort(spans, count, sizeof *spans, spans_order);
    for (size_t i = 1; i < count; i++)
        CHECK(spans[i].start >= spans[i - 1].end, "block %#zx begins inside block %#zx..%#zx",
              (size_t)spans[i].start, (size_t)spans[i - 1].start, (size_t)spans[i - 1].end);
}

#endif
