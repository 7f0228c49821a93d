/* Large blocks (above 52 KiB). Each has a span of granules of its own, and is described out of line
 * by a page map entry. Any thread. */
#ifndef HAK_LARGE_H
#define HAK_LARGE_H

#include "core/large_record.h"

/* A block of `size` bytes at a multiple of `align` (a power of two). *is_zero: the block reads as
 * zero. NULL: there is no memory. */
void *hak_large_alloc(size_t size, size_t align, bool *is_zero);

/* Frees the block; false: `user` is not the pointer of a live large block. `budget`: bytes that the
 * cache may hold. `now`: time of hak_os_now_ms. */
bool hak_large_free(void *user, size_t budget, uint32_t now);

/* The record of a live block; NULL: `user` is not the pointer of a live large block. */
const struct hak_large *hak_large_find(const void *user);

/* Bytes from the block's pointer to the end of its span, as far as that is mapped. */
size_t hak_large_usable(const struct hak_large *large);

/* Makes the block `size` bytes long where it is, or moves its pages without copying. Returns the
 * block's pointer, or HAK_LARGE_COPY: then the block is as before, and the caller copies it into a
 * new one, because nothing else can be done or because that costs less. */
void *hak_large_resize(void *user, size_t size);
#define HAK_LARGE_COPY ((void *)NULL)

/* The program is about to give these bytes properties that later blocks must not have (madvise,
 * mprotect, mlock). Marks the live large blocks among the bytes: HAK_PAGES_MARKED. */
void hak_large_mark_pages(const void *start, size_t bytes);

struct hak_large_stats {
    size_t live_blocks;
    size_t requested_bytes;   /* asked for */
    size_t mapped_bytes;      /* of the live blocks' spans */
    size_t peak_blocks;       /* highest live_blocks */
    size_t peak_mapped_bytes; /* highest mapped_bytes */
    size_t lost_bytes;        /* of lost spans of any kind: see hak_span_lose */
};
struct hak_large_stats hak_large_stats(void);

#endif
