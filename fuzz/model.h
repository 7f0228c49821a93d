/* The model: which blocks are live, their addresses and their contents. */
#ifndef HAK_FUZZ_MODEL_H
#define HAK_FUZZ_MODEL_H

#include "verify/virtual/state.h"

#define FUZZ_SLOTS 256u

struct fuzz_block {
    unsigned char *start; /* NULL: none */
    size_t size;
    uint32_t seed; /* of the contents */
};

/* The block in a slot. */
const struct fuzz_block *fuzz_block(unsigned slot);

/* Adds and fills a block. Checks that it is in the range, aligned, and overlaps no other block. */
void fuzz_block_begin(unsigned slot, void *start, size_t size, size_t align);

/* Removes a block that is about to be freed. Checks that its contents are unchanged. */
void fuzz_block_end(unsigned slot);

/* Removes a block that has been freed already: its contents can no longer be read. */
void fuzz_block_forget(unsigned slot);

/* Checks that the first `size` bytes at `start` are the contents that `block` was filled with; the
 * block may have been removed from the model. */
void fuzz_block_kept(const struct fuzz_block *block, const unsigned char *start, size_t size);

/* Bytes of all live blocks. */
size_t fuzz_live_bytes(void);

#endif
