/* Large blocks (above 52 KiB): a span of granules each, described out of line by a page map entry. Any thread. */
#ifndef HAK_LARGE_H
#define HAK_LARGE_H

#include "core/large_record.h"

/* A block of `size` bytes at a multiple of `align`; NULL if there is no memory. *is_zero: it reads as zero. */
void *hak_large_alloc(size_t size, size_t align, bool *is_zero);

/* Ends the block's life; false if `user` is no live large block's pointer. `budget`: of the BigCache, bytes.
 */
bool hak_large_free(void *user, size_t budget, uint32_t now);

/* The live block's record; NULL if `user` is no live large block's pointer. */
const struct hak_large *hak_large_find(const void *user);

/* Bytes from user to the end of its span. */
size_t hak_large_usable(const struct hak_large *large);

/* Makes the block `size` bytes long where it is, or moves its pages without copying; returns its pointer.
 * NULL if neither can be done, or if a copy into a cached span is the better thing: the block is as before. */
void *hak_large_resize(void *user, size_t size);

/* The program gives these bytes, if they are in live large blocks, properties that later blocks must not have. */
void hak_large_mark(const void *start, size_t bytes);

struct hak_large_stats {
    size_t live_blocks;
    size_t live_bytes;   /* asked for */
    size_t mapped_bytes; /* of the live blocks' spans */
    size_t peak_blocks;  /* highest live_blocks */
    size_t peak_bytes;   /* highest mapped_bytes */
    size_t
        lost_bytes; /* that the kernel took and did not give back, when it refused to move pages */
};
struct hak_large_stats hak_large_stats(void);

#endif
