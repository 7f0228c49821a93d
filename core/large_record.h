/* The record of a large block, or of a cached span: a page map entry. */
#ifndef HAK_LARGE_RECORD_H
#define HAK_LARGE_RECORD_H

#include "core/spans.h"

/* Why a large block's pages have to be renewed when it is freed (hak_os.renew); bits. */
enum {
    HAK_PAGES_MOVED = 1, /* they were moved here, and are a kernel mapping of their own */
    HAK_PAGES_MARKED = 2 /* the program gave them properties that later blocks must not have */
};

/* A large block's page map entry. Live: the entry of the granule of its header byte. Cached: the
 * entry of the first granule of its span. */
struct hak_large {
    void *user;
    size_t size;    /* bytes asked for */
    uint32_t first; /* first granule of its span */
    uint32_t granules;
    uint32_t next;     /* cached: next entry of the same list; 0: this is the last */
    uint32_t previous; /* cached: previous entry of the same list; 0: this is the first */
    uint32_t newer;    /* cached: next newer entry; 0: this is the newest */
    uint32_t older;    /* cached: next older entry; 0: this is the oldest */
    uint32_t since;    /* cached: when it was freed, milliseconds */
    uint32_t span;  /* cached: its first granule; also in the page map entry of its last granule */
    uint8_t renew;  /* live: HAK_PAGES_... bits */
    uint16_t cut;   /* live: bytes at its span's end that are unmapped: address space is scarce */
    uint32_t clean; /* cached: granules of a SuperSlab that hold no memory */
    bool is_superslab; /* cached: the span of one SuperSlab, whose record is as that left it */
    uint8_t unused[HAK_MAP_ENTRY_SIZE - 2 * 8 - 8 * 4 - 2 - 2 - 4 - 1 - 1];
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

/* The granules that a block gets which needs `granules`. Rounds up in steps of an eighth of a power
 * of two, so that many blocks have equal lengths. */
static inline uint32_t hak_large_round_up(uint32_t granules) {
    if (granules <= 8) return granules;
    uint32_t step = 1u << (hak_log2(granules) - 3);
    return (uint32_t)hak_round_up(granules, step);
}

#endif
