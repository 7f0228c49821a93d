/* The blocks of a replay: their addresses and contents. Only the thread that has the baton
 * (fuzz/log/replay.h) calls these functions. */
#ifndef HAK_FUZZ_LOG_BLOCKS_H
#define HAK_FUZZ_LOG_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blocks_proved {
    uint64_t blocks; /* blocks that were allocated */
    uint64_t bytes;  /* bytes that were compared with what was written there */
};

/* Makes the slots 0..count-1. */
void blocks_init(size_t count);

/* The slot's block, or the last block that it held; NULL if it never held one. */
void *blocks_start(uint32_t slot);
size_t blocks_size(uint32_t slot);
bool blocks_is_live(uint32_t slot);

/* Adds a block: proves that it is aligned and overlaps no live block; then fills it. */
void blocks_begin(uint32_t slot, void *start, size_t size, size_t align);

/* Removes the slot's block, which is about to be freed: proves its contents. */
void blocks_end(uint32_t slot);

/* After blocks_end: proves that `start` has the contents of the block, up to `size` bytes. */
void blocks_prove_kept(uint32_t slot, const void *start, size_t size);

void blocks_prove_zero(const void *start, size_t size);

/* Proves the contents of all live blocks. */
void blocks_prove_all(void);

const struct blocks_proved *blocks_figures(void);

#endif
