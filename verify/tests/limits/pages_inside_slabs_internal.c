/* A trim gives back the memory of whole free pages inside of slabs with live blocks. In each class,
 * with random live blocks: what goes back is exactly the pages on which no block in use lies, the
 * counters say so, and the blocks there come again, each once, when the others are in use. */
#define TEST_LINKED
#include "../test.h"

#include <sys/mman.h>

#include "core/heap.h"
#include "core/slab_pages.h"
#include "verify/heap_check.h"

#define BLOCKS_MOST (HAK_GRANULE / 16)

static uint64_t seed = 7;
static struct hak_superslab *ss;
static struct hak_block *blocks[BLOCKS_MOST]; /* of the slab, while they are in use; else NULL */
static size_t page;

/* Fills a block's bytes with what its place says. */
static void fill(const struct hak_slab *slab, struct hak_block *block) {
    const size_t bytes = hak_classes[slab->class].stride - 1;
    memset(block, (int)(hak_slab_index(slab, block) * 7 + 1) & 0xff, bytes);
    hak_header_set(block, HAK_CLASS_HEADER(slab->class));
}

static void check_filled(const struct hak_slab *slab, const struct hak_block *block) {
    const size_t bytes = hak_classes[slab->class].stride - 1;
    const unsigned char *at = (const unsigned char *)block;
    const unsigned char value = (unsigned char)(hak_slab_index(slab, block) * 7 + 1);
    for (size_t i = 0; i < bytes; i++)
        CHECK(at[i] == value, "byte %zu of a block of class %u is %d", i, slab->class, at[i]);
    CHECK(hak_header_of(block) == HAK_CLASS_HEADER(slab->class), "a header is %#x",
          hak_header_of(block));
}

static void use(struct hak_slab *slab, struct hak_block *head, uint32_t count) {
    for (struct hak_block *next; head != NULL; head = next, count--) {
        next = head->next;
        const uint32_t index = hak_slab_index(slab, head);
        CHECK(count > 0 && hak_slab_has(slab, head), "a block of the list is none");
        CHECK(blocks[index] == NULL, "block %u of class %u comes twice", index, slab->class);
        CHECK(hak_header_of(head) == HAK_CLASS_HEADER_FREE(slab->class), "header %#x",
              hak_header_of(head));
        blocks[index] = head;
        fill(slab, head);
    }
    CHECK(count == 0, "%u blocks are missing", count);
}

/* As a refill does, until the slab has no more. */
static void use_all(struct hak_slab *slab) {
    for (;;) {
        struct hak_block *head = NULL;
        uint32_t count = hak_slab_take(slab, 100, &head);
        if (count == 0 && hak_slab_pages_carve(slab)) count = hak_slab_take(slab, 100, &head);
        if (count == 0) count = hak_slab_carve(slab, 100, &head);
        if (count == 0) break;
        use(slab, head, count);
    }
    CHECK(slab->used == slab->capacity && slab->carved == slab->capacity, "%u of %u are in use",
          slab->used, slab->capacity);
}

static void free_block(struct hak_slab *slab, uint32_t index) {
    struct hak_block *block = blocks[index];
    if (block == NULL) return;
    check_filled(slab, block);
    blocks[index] = NULL;
    hak_header_set(block, HAK_CLASS_HEADER_FREE(slab->class));
    block->next = NULL;
    hak_slab_put(slab, block, block, 1);
}

/* Whether a block in use, or one that was not carved, lies on these bytes of the slab. */
static bool is_needed(const struct hak_slab *slab, size_t start, size_t bytes,
                      uint32_t carved_end) {
    const size_t stride = hak_classes[slab->class].stride;
    bool any = false;
    for (uint32_t index = 0; index < slab->capacity; index++) {
        const size_t from = 15 + index * stride;
        if (from >= start + bytes || from + stride <= start) continue;
        any = true;
        if (blocks[index] != NULL || index >= carved_end) return true;
    }
    return !any; /* what is left over at the end of a slab */
}

static bool is_resident(const struct hak_slab *slab, size_t start) {
    unsigned char resident = 0;
    CHECK(mincore((void *)(hak_slab_start(slab) + start), page, &resident) == 0, "mincore");
    return (resident & 1) != 0;
}

static void purge_and_look(struct hak_slab *slab, size_t before) {
    const uint32_t end = hak_slab_carved_end(slab);
    const size_t bytes = hak_slab_pages_purge(slab);
    size_t unneeded = 0;
    for (size_t at = 0; at < (size_t)hak_slab_granules(slab) << HAK_GRANULE_SHIFT; at += page) {
        if (is_needed(slab, at, page, end)) continue;
        unneeded += page;
        CHECK(!is_resident(slab, at), "class %u: the page at %zu stays", slab->class, at);
    }
    CHECK(bytes == unneeded - before, "class %u: %zu bytes go back, not %zu", slab->class, bytes,
          unneeded - before);
    CHECK(hak_slab_carved_end(slab) == end, "class %u: %u blocks were carved, not %u", slab->class,
          hak_slab_carved_end(slab), end);
    uint32_t carved = 0, in_use = 0;
    for (uint32_t index = 0; index < slab->capacity; index++) {
        if (hak_slab_is_carved(slab, index)) carved++;
        if (blocks[index] == NULL) continue;
        in_use++;
        check_filled(slab, blocks[index]);
        CHECK(hak_slab_is_carved(slab, index), "block %u is in use", index);
    }
    CHECK(slab->carved == carved && slab->used == in_use,
          "class %u: carved %u of %u, used %u of %u", slab->class, slab->carved, carved, slab->used,
          in_use);
    CHECK(hak_slab_pages_purge(slab) == 0, "class %u: more goes back at once", slab->class);
}

/* Where memory is kept, purged pages get memory; no block in use changes, whichever bytes of it lie
 * beside them. */
static void populate_and_look(const struct hak_slab *slab) {
    hak_slab_pages_populate(slab);
    for (uint32_t index = 0; index < slab->capacity; index++)
        if (blocks[index] != NULL) check_filled(slab, blocks[index]);
    for (size_t at = 0; at < (size_t)hak_slab_granules(slab) << HAK_GRANULE_SHIFT; at += page) {
        const size_t unit = at >> HAK_GRANULE_SHIFT, bit = at % HAK_GRANULE / page;
        if ((ss->purged_pages[slab->unit + unit] >> bit & 1) != 0)
            CHECK(is_resident(slab, at), "class %u: the page at %zu has no memory", slab->class,
                  at);
    }
}

static size_t purged_bytes(const struct hak_slab *slab) {
    size_t bytes = 0;
    for (uint32_t unit = 0; unit < hak_slab_granules(slab); unit++)
        bytes += (size_t)__builtin_popcount(ss->purged_pages[slab->unit + unit]) * page;
    return bytes;
}

/* `live`: of a thousand blocks. `carved`: of a thousand, that were carved at all. */
static void each_class(unsigned bin, unsigned live, unsigned carved) {
    struct hak_slab *slab = hak_slab_create(ss, bin, ss->free_mask);
    CHECK(slab != NULL, "no slab");
    while (slab->carved * 1000u < slab->capacity * carved) {
        struct hak_block *head = NULL;
        const uint32_t count = hak_slab_carve(slab, 10, &head);
        use(slab, head, count);
    }
    for (int round = 0; round < 3; round++) {
        for (uint32_t index = 0; index < slab->capacity; index++)
            if (test_random(&seed) % 1000 >= live) free_block(slab, index);
        purge_and_look(slab, purged_bytes(slab));
        for (uint32_t index = 0; index < slab->capacity; index++) /* more become free */
            if (test_random(&seed) % 4 == 0) free_block(slab, index);
        purge_and_look(slab, purged_bytes(slab));
        if (round == 1) populate_and_look(slab);
        use_all(slab);
        CHECK(!slab->has_purged_pages && purged_bytes(slab) == 0, "pages are left");
    }
    for (uint32_t index = 0; index < slab->capacity; index++)
        if (index % 3 != 0) free_block(slab, index);
    hak_slab_pages_purge(slab);
    for (uint32_t index = 0; index < slab->capacity; index++)
        free_block(slab, index);
    hak_slab_destroy(slab, 0);
    for (unsigned unit = 0; unit < HAK_UNITS_MAX; unit++)
        CHECK(ss->purged_pages[unit] == 0, "unit %u of no slab has purged pages", unit);
}

int main(void) {
    hak_free(hak_malloc(test_opaque(100)));
    page = hak_os_page_size();
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++) {
        const bool pool = hak_tier_of_class(bin) == HAK_TIER_POOL;
        ss = hak_superslab_create_from_range(&hak_thread_heap()->home, HAK_SUPERSLAB_SHIFT, pool);
        CHECK(ss != NULL, "no SuperSlab");
        each_class(bin, 100, 1000);
        each_class(bin, 5, 1000);
        each_class(bin, 0, 500);
        each_class(bin, 300, 700);
        hak_superslab_destroy(ss, 0);
    }
    return test_ok("%u classes", HAK_CLASSES);
}
