/* The model: which blocks are live, where they are and what is in them. */
#ifndef HAK_FUZZ_MODEL_H
#define HAK_FUZZ_MODEL_H

#include "fuzz/state.h"

#define FUZZ_SLOTS 256u

struct fuzz_block {
    unsigned char *start; /* NULL: none */
    size_t size;
    uint32_t seed; /* of the contents */
};

/* The block in a slot. */
const struct fuzz_block *fuzz_block(unsigned slot);

/* A new block: must be in the range, aligned, and overlap no other; gets contents of its own. */
void fuzz_block_begin(unsigned slot, void *start, size_t size, size_t align);

/* The block is about to be given away: its contents must be as they were. */
void fuzz_block_end(unsigned slot);

/* The block is gone already: its contents can no longer be looked at. */
void fuzz_block_forget(unsigned slot);

/* The first `size` bytes at `start` must be what the slot's block, which has ended or not, began with. */
void fuzz_block_kept(const struct fuzz_block *block, const unsigned char *start, size_t size);

/* Bytes of all live blocks. */
size_t fuzz_live_bytes(void);

#endif
