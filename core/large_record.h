/* What is known of a large block, live or cached: the record in its page map entry. */
#ifndef HAK_LARGE_RECORD_H
#define HAK_LARGE_RECORD_H

#include "core/spans.h"

/* Why a large block's pages have to be renewed; bits. */
enum {
    HAK_PAGES_MOVED = 1, /* they were moved here, and are a mapping of their own */
    HAK_PAGES_MARKED = 2 /* the program has given them properties that later blocks must not have */
};

/* A large block's page map entry: that of the granule of its header byte while it lives, that of its first granule
 * while it is cached. */
struct hak_large {
    void *user;
    size_t size;    /* bytes asked for */
    uint32_t first; /* granule */
    uint32_t granules;
    uint32_t next;     /* cached: next of the same hash, 0 ends */
    uint32_t previous; /* cached: previous of the same hash, 0 begins */
    uint32_t newer;    /* cached: by age, 0 ends */
    uint32_t older;
    uint32_t since; /* cached: when it was freed, milliseconds */
    uint32_t span;  /* cached: its first granule; in the page map entry of its last granule, too */
    uint8_t
        renew; /* HAK_PAGES_...: its pages have to be renewed when it is freed, see hak_os.renew */
    uint16_t cut; /* live: bytes at its span's end that are unmapped, for address space is scarce */
    uint8_t unused[HAK_MAP_ENTRY_SIZE - 2 * 8 - 8 * 4 - 2 - 3];
    _Atomic uint8_t kind;
};
_Static_assert(sizeof(struct hak_large) == HAK_MAP_ENTRY_SIZE,
               "a large block's record fills a page map entry");
_Static_assert(offsetof(struct hak_large, first) == offsetof(struct hak_free_span, first) &&
                   offsetof(struct hak_large, granules) == offsetof(struct hak_free_span, count),
               "any span is described alike");

static inline struct hak_large *hak_large_at(uint32_t granule) {
    return hak_map_entry(granule);
}

/* Granules that a block of at least `granules` gets: steps of an eighth, so that equal lengths are frequent.
 */
static inline uint32_t hak_large_quantum(uint32_t granules) {
    if (granules <= 8) return granules;
    uint32_t step = 1u << (hak_log2(granules) - 3);
    return (uint32_t)hak_round_up(granules, step);
}

#endif
