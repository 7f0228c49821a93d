/* The blocks of a replay: where they are, and what is in them. Only the thread that has the baton comes here. */
#ifndef HAK_FUZZ_LOG_BLOCKS_H
#define HAK_FUZZ_LOG_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blocks_proved {
    uint64_t blocks; /* that began */
    uint64_t bytes;  /* compared with what was written there */
};

/* For slots 0..count-1. */
void blocks_init(size_t count);

/* The slot's block, or the one it held last; NULL: none ever. */
void *blocks_start(uint32_t slot);
size_t blocks_size(uint32_t slot);
bool blocks_is_live(uint32_t slot);

/* A new block: proves that it is aligned and overlaps no live one; then fills it. */
void blocks_begin(uint32_t slot, void *start, size_t size, size_t align);

/* The slot's block is about to end: proves its contents. */
void blocks_end(uint32_t slot);

/* The block ended, and `start` has what of its contents `size` bytes can hold. */
void blocks_prove_kept(uint32_t slot, const void *start, size_t size);

void blocks_prove_zero(const void *start, size_t size);

/* Proves the contents of all live blocks. */
void blocks_prove_all(void);

const struct blocks_proved *blocks_figures(void);

#endif
