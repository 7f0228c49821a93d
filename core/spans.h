/* Spans of granules: whoever needs memory of the range takes one here, and gives it back. */
#ifndef HAK_RUNS_H
#define HAK_RUNS_H

#include "core/range.h"

/* What each granule belongs to can be told from the tables at each instruction, so that a child of fork can find the free ones
 * whatever the parent's other threads were doing. A span in use is one of:
 *   - a SuperSlab whose record says `in_use`;
 *   - a large block or a cached span, whose first granule's page map entry says so, with the number of granules;
 *   - any other, whose first granule's page map entry says HAK_KIND_TAKEN, with the number of granules: hak_span_alloc leaves it so, and
 *     hak_span_free finds it so. */

/* `count` granules that begin at a multiple of `align` granules (a power of two), committed. They are zero, unless
 * hak_span_is_dirty. 0 if there are none. */
uint32_t hak_span_alloc(uint32_t count, uint32_t align);

/* The same, of which perhaps only the first *there are committed, at least those that the caller
 * asks for by it, 0 or all. */
uint32_t hak_span_alloc_part(uint32_t count, uint32_t align, uint32_t *there);

/* Commits `more` granules of the caller's span, of which the first `there` are. HAK_PLACE_TAKEN:
 * somebody else has a mapping in them. */
enum hak_placed hak_span_reach(uint32_t first, uint32_t count, uint32_t there, uint32_t more);

/* Says that somebody uses these granules, as hak_span_alloc does. */
void hak_span_set_taken(uint32_t first, uint32_t count);

/* Gives taken granules back, and their memory to the system, unless the range keeps its memory. `renew` for those whose
 * mapping is not that of the range: pages were moved there, or the kernel has unmapped what was there; their memory always
 * goes, and where the range keeps its memory they get some at once. */
void hak_span_free(uint32_t first, uint32_t count, bool renew);

/* The same for a span of which only the first `there` granules are committed. */
void hak_span_free_part(uint32_t first, uint32_t count, uint32_t there);

/* The same for a span that the kernel has unmapped already. Where that is not to be had again, it becomes a hole. */
void hak_span_free_unmapped(uint32_t first, uint32_t count);

/* The same for a span without its last `cut` bytes, which are unmapped. It becomes a hole. */
void hak_span_free_cut(uint32_t first, uint32_t count, size_t cut);

/* Unmaps the last `cut` bytes of the caller's span; maps them again; false: nothing has changed. */
bool hak_span_cut(uint32_t first, uint32_t count, size_t cut);
bool hak_span_mend(uint32_t first, uint32_t count, size_t cut);

/* The taken granules stay so for ever: the kernel may have unmapped them, and given their place
 * to somebody else. Nothing of them may be touched any more. */
void hak_span_lose(uint32_t first, uint32_t count);
size_t hak_range_lost(void); /* bytes of those */

/* Adds `more` granules behind first + count - 1, if nobody uses them. The number in the first granule's page map entry is
 * raised, too. While the range keeps its memory, not by granules without memory where a whole span with memory is long enough. */
bool hak_span_extend(uint32_t first, uint32_t count, uint32_t more);

/* A free or taken span or a hole, described in the page map entry of its first granule, a free one also in that of its last. The list links are in
 * the first one. `first` and `count` lie where a large block's record has them. */
struct hak_free_span {
    uint32_t next; /* granule of the next free span's first page map entry; 0 ends the list */
    uint32_t prev;
    uint8_t unused1[8];
    uint32_t first;
    uint32_t count;
    uint8_t unused2[25];
    uint8_t dirty; /* it may hold memory, and need not read as zero */
    uint8_t unused3[HAK_MAP_ENTRY_SIZE - 4 * sizeof(uint32_t) - 8 - 25 - 1 - 1];
    uint8_t kind;
};
_Static_assert(sizeof(struct hak_free_span) == HAK_MAP_ENTRY_SIZE, "a free span fills a page map entry");

/* Lists of free spans, or of holes, and the one for spans of `count` granules. */
#define HAK_SPAN_LISTS 160u
unsigned hak_span_list_of(uint32_t count);

struct hak_span_index {
    uint32_t lists[HAK_SPAN_LISTS];                /* first granules; 0: empty */
    uint64_t nonempty[(HAK_SPAN_LISTS + 63) / 64]; /* a bit a list */
};

/* Whether a span that hak_span_alloc has just given may hold memory. */
static inline bool hak_span_is_dirty(uint32_t first) {
    return ((const struct hak_free_span *)hak_map_entry(first))->dirty;
}

/* Whether hak_span_alloc would take a span that may hold memory, all of it; false where the range does not keep its memory. */
bool hak_span_is_kept(uint32_t count, uint32_t align);

/* For checks, while no other thread is in an allocation function. */
struct hak_range_state {
    uint32_t there, committed,
        in_tables; /* granules below these: the limit's, those that have memory but
                                           * for gaps, and those that have page map entries and records */
    const struct hak_span_index *free, *holes;
    size_t hole_bytes;
    uint32_t dirty_top;             /* granules from the top to here may hold memory */
    size_t map_bytes, record_bytes; /* of the tables, committed */
};
struct hak_range_state hak_range_state(void);

/* Once the range keeps its memory: all pages of these get memory; so do free spans without any, the shortest first, until they are
 * that many bytes. From here on neighbours are alike. Holds the range's lock meanwhile. */
void hak_range_touch(size_t most);

/* Gives the memory of these to the system; returns the bytes. Holds the range's lock meanwhile. Locked memory stays
 * while the range keeps its memory, and is zeroed otherwise. */
size_t hak_range_purge(void);

#endif
