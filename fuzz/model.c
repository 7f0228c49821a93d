#include "fuzz/model.h"

#include <string.h>

static struct fuzz_block blocks[FUZZ_SLOTS];
static uint8_t by_address[FUZZ_SLOTS]; /* slots of live blocks, lowest address first */
static unsigned live;
static size_t live_bytes;
static uint32_t seeds;

/* ---- contents -------------------------------------------------------------------------------- */

#define PERIOD 4096u /* the contents of a block have this period; its seed says where they begin */
#define CHUNK  64u   /* bytes that are written and compared at once */
#define CHUNKS 16u   /* most chunks of a block of up to LONG bytes */
#define ENDS   3u    /* most chunks of a longer block: each touches another page */
#define LONG   4096u

/* One period, and its first bytes again, so that each chunk is contiguous. */
static const unsigned char *pattern(void) {
    static unsigned char bytes[PERIOD + CHUNK];
    uint32_t random = 1;
    if (bytes[1] != 0) return bytes;
    for (unsigned i = 0; i < PERIOD; i++) {
        random = random * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(random >> 24 | 1);
    }
    memcpy(bytes + PERIOD, bytes, CHUNK);
    return bytes;
}

static const unsigned char *expected(const struct fuzz_block *block, size_t offset) {
    return pattern() + (block->seed * 977u + offset) % PERIOD;
}

static size_t chunks_of(size_t size) {
    size_t count = (size + CHUNK - 1) / CHUNK, most = size > LONG ? ENDS : CHUNKS;
    return count < most ? count : most;
}

/* The last chunk ends where the block ends; the others begin at equal distances. */
static size_t chunk_at(size_t size, size_t index) {
    if (size <= CHUNK) return 0;
    if (index + 1 == chunks_of(size)) return size - CHUNK;
    return size <= CHUNK * CHUNKS ? index * CHUNK : index * (size / chunks_of(size));
}

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

static void fill(const struct fuzz_block *block) {
    for (size_t i = 0; i < chunks_of(block->size); i++) {
        size_t at = chunk_at(block->size, i);
        memcpy(block->start + at, expected(block, at), min_size(block->size, CHUNK));
    }
}

void fuzz_block_kept(const struct fuzz_block *block, const unsigned char *start, size_t size) {
    for (size_t i = 0; i < chunks_of(block->size); i++) {
        size_t at = chunk_at(block->size, i);
        if (at >= size) return;
        size_t length = min_size(min_size(block->size, CHUNK), size - at);
        FUZZ_CHECK(memcmp(start + at, expected(block, at), length) == 0,
                   "the contents of a block of %zu bytes changed within %zu..%zu", block->size, at,
                   at + length);
    }
}

/* ---- the interval map ------------------------------------------------------------------------ */

static uintptr_t begin_of(unsigned slot) {
    return (uintptr_t)blocks[slot].start;
}

/* A block of 0 bytes still has an address of its own. */
static uintptr_t end_of(unsigned slot) {
    return begin_of(slot) + (blocks[slot].size > 0 ? blocks[slot].size : 1);
}

/* The number of live blocks that begin below the address. */
static unsigned rank_of(uintptr_t address) {
    unsigned low = 0, high = live;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (begin_of(by_address[middle]) < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct fuzz_block *fuzz_block(unsigned slot) {
    return &blocks[slot];
}

void fuzz_block_begin(unsigned slot, void *start, size_t size, size_t align) {
    struct fuzz_block *block = &blocks[slot];
    FUZZ_CHECK(block->start == NULL, "slot %u is taken", slot);
    FUZZ_CHECK(hak_range_has(start), "a block at %p, outside of the range", start);
    FUZZ_CHECK((uintptr_t)start % align == 0, "a block at %p, not aligned to %zu", start, align);
    *block = (struct fuzz_block){.start = start, .size = size, .seed = ++seeds};
    unsigned rank = rank_of((uintptr_t)start);
    FUZZ_CHECK(rank == 0 || end_of(by_address[rank - 1]) <= begin_of(slot),
               "a block of %zu bytes at %p overlaps the one before", size, start);
    FUZZ_CHECK(rank == live || end_of(slot) <= begin_of(by_address[rank]),
               "a block of %zu bytes at %p overlaps the one behind", size, start);
    memmove(&by_address[rank + 1], &by_address[rank], live - rank);
    by_address[rank] = (uint8_t)slot;
    live++;
    live_bytes += size;
    fill(block);
}

void fuzz_block_forget(unsigned slot) {
    struct fuzz_block *block = &blocks[slot];
    unsigned rank = rank_of(begin_of(slot));
    FUZZ_CHECK(rank < live && by_address[rank] == slot, "slot %u is not in the map", slot);
    live--;
    memmove(&by_address[rank], &by_address[rank + 1], live - rank);
    live_bytes -= block->size;
    *block = (struct fuzz_block){0};
}

void fuzz_block_end(unsigned slot) {
    fuzz_block_kept(&blocks[slot], blocks[slot].start, blocks[slot].size);
    fuzz_block_forget(slot);
}

size_t fuzz_live_bytes(void) {
    return live_bytes;
}
