/* Blocks of every pair of a size up to 64 KiB and an alignment from 1 to 64 KiB are aligned, large
 * enough and disjoint, keep their contents, and are freed by plain free. Several are live at once.
 * A short run takes a selection of the sizes. */
#include "../pattern.h"
#include "../process.h"
#include "../spans.h"

enum { LIVE = 64, LARGEST = 65536 };

static struct live {
    void *block;
    size_t size;
    uint64_t seed;
} live[LIVE];
static size_t live_count, pairs;

static void *aligned(size_t alignment, size_t size) {
    void *block = NULL;
    switch (pairs % 3) {
    case 0:
        return aligned_alloc(test_opaque(alignment), size);
    case 1:
        return memalign(alignment, size);
    default:
        if (alignment < sizeof(void *)) return memalign(alignment, size);
        return posix_memalign(&block, alignment, size) == 0 ? block : NULL;
    }
}

static void release_all(void) {
    struct span spans[LIVE];
    for (size_t i = 0; i < live_count; i++) {
        size_t usable = malloc_usable_size(live[i].block);
        CHECK(usable >= live[i].size, "%zu bytes usable of %zu", usable, live[i].size);
        CHECK(pattern_ends_match(live[i].block, usable, live[i].seed),
              "block %p of %zu bytes is damaged", live[i].block, usable);
        spans[i] = (struct span){(uintptr_t)live[i].block, (uintptr_t)live[i].block + usable};
    }
    spans_check_disjoint(spans, live_count);
    for (size_t i = 0; i < live_count; i++)
        free(live[i].block);
    live_count = 0;
}

static void take(size_t alignment, size_t size) {
    size_t expected = alignment < 16 ? 16 : alignment;
    void *block = aligned(alignment, size);
    CHECK(block != NULL && (uintptr_t)block % expected == 0, "alignment %zu, size %zu: %p",
          alignment, size, block);
    live[live_count] = (struct live){block, size, ++pairs};
    pattern_fill_ends(block, malloc_usable_size(block), pairs);
    if (++live_count == LIVE) release_all();
}

static bool selected(size_t size, bool all) {
    if (all || size <= 2100 || size % 1021 == 0) return true;
    size_t below = (size_t)1 << (63 - __builtin_clzl(size)); /* the power of two at or below size */
    return size - below <= 3 || 2 * below - size <= 3;
}

int main(void) {
    test_needs_hakmem();
    bool all = !test_quick();
    for (size_t alignment = 1; alignment <= 65536; alignment *= 2)
        for (size_t size = 0; size <= LARGEST; size++)
            if (selected(size, all)) take(alignment, size);
    release_all();
    return test_ok("%zu pairs of size and alignment", pairs);
}
