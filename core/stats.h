/* Figures about the whole process. The bins of other threads are counted as of their last batch.
 * Any thread. */
#ifndef HAK_STATS_H
#define HAK_STATS_H

#include <stdio.h>

#include "core/heap.h"
#include "core/large.h"

struct hak_stats {
    size_t blocks[HAK_CLASSES];  /* live, by class */
    size_t live_blocks;          /* sum of `blocks` */
    size_t live_bytes;           /* sum of their strides */
    size_t free_blocks;          /* in bins and on remote lists: out of their slabs, but not live */
    size_t free_bytes;           /* sum of their strides */
    size_t waiting[HAK_CLASSES]; /* free_blocks, by class */
    size_t superslab_bytes;      /* of all SuperSlabs */
    size_t cached_bytes;         /* spans in the cache */
    size_t superslabs;
    size_t cached_spans; /* number of these */
    /* All but live large blocks: superslab_bytes, cached_bytes, and free spans that hold memory. */
    size_t heap_bytes;
    size_t heap_peak;       /* highest heap_bytes so far */
    size_t kept_bytes;      /* free spans that hold memory */
    size_t rest_bytes;      /* heap_bytes - live_bytes - free_bytes */
    size_t heaps;           /* that were ever made */
    size_t threads;         /* heaps that a thread uses now */
    size_t committed_bytes; /* address space made usable; most of it is not resident */
    struct hak_large_stats large;
};

/* Which library this is, how it was built, and of which sources. `build.sh verify` reads it. */
extern const char hak_build_id[];

void hak_stats_read(struct hak_stats *stats);

/* The number of pieces of rest_bytes: each SuperSlab may have some, and each cached span is one. */
static inline size_t hak_stats_rest_count(const struct hak_stats *stats) {
    return stats->superslabs + stats->cached_spans;
}

/* Prints lines on stderr; with_glibc_lines: also those of glibc's malloc_stats. */
void hak_stats_print(bool with_glibc_lines);
/* Errors of the stream are left in the stream, for the caller to see. */
void hak_stats_write_xml(FILE *stream);

#endif
