#include "core/slab_pages.h"

#include "core/hooks.h"

/* A bit for each page of a slab; a bit for each block. */
typedef uint64_t page_mask;
#define PAGES_MOST 64u
#define WORDS      (HAK_GRANULE / 16 / 64)
struct block_map {
    uint64_t words[WORDS];
};

static bool map_has(const struct block_map *map, uint32_t index) {
    return (map->words[index / 64] >> (index % 64) & 1) != 0;
}

static void map_add(struct block_map *map, uint32_t index) {
    map->words[index / 64] |= (uint64_t)1 << (index % 64);
}

static unsigned page_shift(void) {
    return hak_log2(hak_os_page_size());
}

static uint32_t pages_in_granule(void) {
    return 1u << (HAK_GRANULE_SHIFT - page_shift());
}

static uint32_t pages_of(const struct hak_slab *slab) {
    const uint32_t pages = hak_slab_granules(slab) * pages_in_granule();
    HAK_ASSERT(pages <= PAGES_MOST);
    return pages;
}

/* The slab's purged pages, which its SuperSlab's record holds unit by unit. */
static page_mask pages_purged(const struct hak_slab *slab) {
    const struct hak_superslab *ss = hak_superslab_of(slab);
    page_mask mask = 0;
    if (!slab->has_purged_pages) return 0;
    for (uint32_t unit = 0; unit < hak_slab_granules(slab); unit++)
        mask |= (page_mask)ss->purged_pages[slab->unit + unit] << (unit * pages_in_granule());
    return mask;
}

static void pages_purged_set(struct hak_slab *slab, page_mask mask) {
    struct hak_superslab *ss = hak_superslab_of(slab);
    const uint32_t in_granule = pages_in_granule();
    for (uint32_t unit = 0; unit < hak_slab_granules(slab); unit++)
        ss->purged_pages[slab->unit + unit] =
            (uint16_t)(mask >> (unit * in_granule) & (((uint32_t)1 << in_granule) - 1));
    slab->has_purged_pages = mask != 0;
}

/* Numbers from `first` to `until`, exclusive. */
struct interval {
    uint32_t first, until;
};

/* The pages on which a block lies, with its header byte. */
static struct interval pages_of_block(const struct hak_slab *slab, uint32_t index) {
    const uint32_t stride = hak_classes[slab->class].stride, start = 15 + index * stride;
    const unsigned shift = page_shift();
    return (struct interval){start >> shift, ((start + stride - 1) >> shift) + 1};
}

/* The blocks that lie on a page, in whole or in part. */
static struct interval blocks_on_page(const struct hak_slab *slab, uint32_t page) {
    const size_t bytes = hak_os_page_size(), start = page * bytes;
    const uint32_t first = start <= 15 ? 0 : hak_class_divide(slab->class, start - 15),
                   until = hak_class_divide(slab->class, start + bytes - 1 - 15) + 1;
    return (struct interval){first, hak_min_u32(until, slab->capacity)};
}

static bool is_on(const struct hak_slab *slab, uint32_t index, page_mask mask) {
    const struct interval pages = pages_of_block(slab, index);
    for (uint32_t page = pages.first; page < pages.until; page++)
        if ((mask >> page & 1) != 0) return true;
    return false;
}

static uint32_t blocks_on(const struct hak_slab *slab, page_mask mask) {
    uint32_t count = 0, next = 0; /* no block is counted twice */
    for (page_mask left = mask; left != 0; left &= left - 1) {
        const struct interval blocks = blocks_on_page(slab, (uint32_t)__builtin_ctzll(left));
        const uint32_t first = blocks.first > next ? blocks.first : next;
        if (blocks.until > first) count += blocks.until - first;
        if (blocks.until > next) next = blocks.until;
    }
    return count;
}

uint32_t hak_slab_carved_end(const struct hak_slab *slab) {
    return slab->carved + blocks_on(slab, pages_purged(slab));
}

bool hak_slab_is_carved(const struct hak_slab *slab, uint32_t index) {
    return index < hak_slab_carved_end(slab) && !is_on(slab, index, pages_purged(slab));
}

/* The blocks of the freelist, and those on purged pages. */
static void map_free_blocks(const struct hak_slab *slab, page_mask purged, struct block_map *map) {
    uint32_t length = 0;
    hak_os_zero(map, sizeof *map);
    for (struct hak_block *block = slab->freelist; block != NULL; block = hak_block_next(block)) {
        HAK_CHECK(hak_slab_has(slab, block) && length < slab->carved);
        map_add(map, hak_slab_index(slab, block));
        length++;
    }
    HAK_CHECK(slab->used + length == slab->carved);
    for (; purged != 0; purged &= purged - 1) {
        const struct interval blocks = blocks_on_page(slab, (uint32_t)__builtin_ctzll(purged));
        for (uint32_t index = blocks.first; index < blocks.until; index++)
            map_add(map, index);
    }
}

/* The pages on which blocks lie, all of them carved once and free now. */
static page_mask free_pages(const struct hak_slab *slab, const struct block_map *map) {
    const uint32_t end = hak_slab_carved_end(slab), pages = pages_of(slab);
    page_mask mask = 0;
    for (uint32_t page = 0; page < pages; page++) {
        const struct interval blocks = blocks_on_page(slab, page);
        uint32_t index = blocks.first;
        while (index < blocks.until && index < end && map_has(map, index))
            index++;
        if (index == blocks.until && blocks.first < blocks.until) mask |= (page_mask)1 << page;
    }
    return mask;
}

/* Links the blocks of the freelist anew, in address order: those on a page of `mask` into the list
 * *uncarved, all others into the freelist. Returns the number of the former. */
static uint32_t freelist_split(struct hak_slab *slab, const struct block_map *map, page_mask purged,
                               page_mask mask, struct hak_block **uncarved) {
    const uint32_t end = hak_slab_carved_end(slab);
    struct hak_block **stays = &slab->freelist, **leaves = uncarved;
    uint32_t left = 0;
    for (uint32_t index = 0; index < end; index++) {
        if (!map_has(map, index) || is_on(slab, index, purged)) continue;
        struct hak_block *block = hak_slab_block(slab, index);
        if (is_on(slab, index, mask)) {
            *leaves = block;
            leaves = &block->next;
            left++;
        } else {
            *stays = block;
            stays = &block->next;
        }
    }
    *stays = *leaves = NULL;
    return left;
}

/* A row of adjacent pages of `mask`: its place in the slab, and its length, in bytes. */
struct row {
    size_t start, bytes;
};

/* Takes the first row out of the mask, which is not empty. */
static struct row row_next(page_mask *mask) {
    const unsigned first = (unsigned)__builtin_ctzll(*mask), shift = page_shift();
    const page_mask after = ~(*mask >> first);
    const unsigned count = after == 0 ? PAGES_MOST : (unsigned)__builtin_ctzll(after);
    HAK_ASSERT(count > 0 && first + count <= PAGES_MOST);
    *mask &= count == PAGES_MOST ? 0 : ~((((page_mask)1 << count) - 1) << first);
    return (struct row){(size_t)first << shift, (size_t)count << shift};
}

/* Gives the memory of these pages back. Where the system refuses, they count as purged all the
 * same: nobody relies on their contents. */
static size_t pages_give_back(const struct hak_slab *slab, page_mask mask) {
    size_t bytes = 0;
    while (mask != 0) {
        const struct row row = row_next(&mask);
        if (hak_range_purge_part((void *)(hak_slab_start(slab) + row.start), row.bytes))
            bytes += row.bytes;
    }
    return bytes;
}

void hak_slab_pages_populate(const struct hak_slab *slab) {
    page_mask mask = pages_purged(slab);
    while (mask != 0) {
        const struct row row = row_next(&mask);
        hak_os_populate((void *)(hak_slab_start(slab) + row.start), row.bytes);
    }
}

size_t hak_slab_pages_purge(struct hak_slab *slab) {
    const size_t free_bytes = (size_t)(slab->carved - slab->used) * hak_classes[slab->class].stride;
    /* beside a purged page a few bytes more may make another page free */
    if (free_bytes < (slab->has_purged_pages ? 1 : hak_os_page_size())) return 0;
    struct block_map map;
    struct hak_block *uncarved = NULL;
    const page_mask purged = pages_purged(slab);
    map_free_blocks(slab, purged, &map);
    const page_mask more = free_pages(slab, &map) & ~purged;
    if (more == 0) return 0;
    const uint32_t count = freelist_split(slab, &map, purged, more, &uncarved);
    HAK_CHECK(count <= slab->carved);
    slab->carved = (uint16_t)(slab->carved - count);
    pages_purged_set(slab, purged | more);
    HAK_ASSERT(slab->used <= slab->carved && hak_slab_carved_end(slab) <= slab->capacity);
    if (count > 0) hak_hook_batch(HAK_BATCH_UNCARVE, slab, uncarved, count);
    return pages_give_back(slab, more);
}

/* Carves the blocks of a page that is not purged from here on, if they lie on no other purged page.
 * Returns their number. */
static uint32_t page_carve(struct hak_slab *slab, uint32_t page) {
    const page_mask left = pages_purged(slab) & ~((page_mask)1 << page);
    const struct interval blocks = blocks_on_page(slab, page);
    uint32_t count = 0;
    pages_purged_set(slab, left);
    for (uint32_t index = blocks.until; index-- > blocks.first;) {
        if (is_on(slab, index, left)) continue;
        struct hak_block *block = hak_slab_block(slab, index);
        hak_header_set(block, HAK_CLASS_HEADER_FREE(slab->class));
        block->next = slab->freelist;
        slab->freelist = block;
        count++;
    }
    slab->carved = (uint16_t)(slab->carved + count);
    HAK_CHECK(slab->carved <= slab->capacity);
    return count;
}

bool hak_slab_pages_carve(struct hak_slab *slab) {
    HAK_CHECK(slab->freelist == NULL && slab->carved == slab->used);
    while (slab->has_purged_pages) {
        const uint32_t count = page_carve(slab, (uint32_t)__builtin_ctzll(pages_purged(slab)));
        if (count == 0) continue;
        hak_hook_batch(HAK_BATCH_RECARVE, slab, slab->freelist, count);
        return true;
    }
    return false;
}
