#include "fuzz/log/blocks.h"

#include <string.h>

#include "fuzz/log/replay.h"

/* While a block is live, it is a node of a treap over addresses; a link is slot + 1, or 0. */
struct block {
    uint8_t *start;
    size_t size;
    uint64_t seed; /* of its contents; changes with each block */
    uint32_t left, right;
    bool live;
};

static struct block *blocks;
static size_t block_count;
static uint32_t root;
static struct blocks_proved proved;

void blocks_init(size_t count) {
    block_count = count;
    blocks = log_memory(count * sizeof *blocks);
}

void *blocks_start(uint32_t slot) {
    return blocks[slot].start;
}

size_t blocks_size(uint32_t slot) {
    return blocks[slot].size;
}

bool blocks_is_live(uint32_t slot) {
    return blocks[slot].live;
}

const struct blocks_proved *blocks_figures(void) {
    return &proved;
}

/* ---- contents -------------------------------------------------------------------------------- */

/* If a block is longer than both ends, only the ends are written: a program may ask for more memory
 * than the machine has. */
#define END_BYTES ((size_t)512 << 10)
#define PIECE     512u

/* The `index`th piece of the contents. No byte is 0, so that it differs from fresh memory. */
static void piece_make(uint8_t piece[PIECE], uint64_t seed, uint64_t index) {
    uint64_t state = (seed << 32) + index;
    for (size_t i = 0; i < PIECE; i += sizeof state) {
        state = state * 0x5851f42d4c957f2du + 0x14057b7ef767814fu;
        uint64_t word = (state ^ state >> 29) | 0x0101010101010101u;
        memcpy(piece + i, &word, sizeof word);
    }
}

/* Calls `each` for the written pieces of a block, as far as they lie below `limit`. */
static void each_piece(const struct block *block, uint8_t *start, size_t limit,
                       void (*each)(uint8_t *at, const uint8_t *piece, size_t length,
                                    size_t offset)) {
    uint8_t piece[PIECE];
    for (size_t at = 0; at < limit; at += PIECE) {
        if (at == END_BYTES && block->size > 2 * END_BYTES)
            at = (block->size - END_BYTES) & ~(PIECE - 1);
        if (at >= limit) return;
        piece_make(piece, block->seed, at / PIECE);
        each(start + at, piece, limit - at < PIECE ? limit - at : PIECE, at);
    }
}

static void piece_write(uint8_t *at, const uint8_t *piece, size_t length, size_t offset) {
    (void)offset;
    memcpy(at, piece, length);
}

static void piece_prove(uint8_t *at, const uint8_t *piece, size_t length, size_t offset) {
    proved.bytes += length;
    if (memcmp(at, piece, length) == 0) return;
    size_t i = 0;
    while (at[i] == piece[i])
        i++;
    replay_fail("byte %zu of the block at %p is 0x%02x, and 0x%02x was written there", offset + i,
                (void *)(at - offset), at[i], piece[i]);
}

void blocks_prove_kept(uint32_t slot, const void *start, size_t size) {
    const struct block *block = &blocks[slot];
    each_piece(block, (uint8_t *)(uintptr_t)start, size < block->size ? size : block->size,
               piece_prove);
}

static void prove_zero(const uint8_t *start, size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++)
        if (start[i] != 0)
            replay_fail("byte %zu of the block at %p is 0x%02x, and calloc's are 0", i,
                        (const void *)start, start[i]);
    proved.bytes += end - begin;
}

void blocks_prove_zero(const void *start, size_t size) {
    bool whole = size <= 2 * END_BYTES;
    prove_zero(start, 0, whole ? size : END_BYTES);
    if (!whole) prove_zero(start, size - END_BYTES, size);
}

/* ---- places ---------------------------------------------------------------------------------- */

static uint32_t rank_of(uint32_t link) {
    return link * 0x9e3779b1u ^ (link * 0x9e3779b1u) >> 15;
}

static struct block *node(uint32_t link) {
    return &blocks[link - 1];
}

/* Splits the tree: blocks below the address go to the left, the others to the right. */
static void split(uint32_t tree, const uint8_t *address, uint32_t *left, uint32_t *right) {
    while (tree != 0) {
        if (node(tree)->start < address) {
            *left = tree;
            left = &node(tree)->right;
            tree = *left;
        } else {
            *right = tree;
            right = &node(tree)->left;
            tree = *right;
        }
    }
    *left = *right = 0;
}

/* All of `left` lies below all of `right`. */
static uint32_t join(uint32_t left, uint32_t right) {
    uint32_t tree = 0, *link = &tree;
    while (left != 0 && right != 0) {
        if (rank_of(left) > rank_of(right)) {
            *link = left;
            link = &node(left)->right;
            left = *link;
        } else {
            *link = right;
            link = &node(right)->left;
            right = *link;
        }
    }
    *link = left != 0 ? left : right;
    return tree;
}

/* The nearest live block that begins at or before the address, or after it if `behind`. */
static const struct block *neighbour(const uint8_t *address, bool behind) {
    const struct block *found = NULL;
    for (uint32_t link = root; link != 0;) {
        const struct block *at = node(link);
        if ((at->start > address) == behind) found = at;
        link = at->start > address ? at->left : at->right;
    }
    return found;
}

/* A block of 0 bytes still has an address of its own. */
static const uint8_t *end_of(const struct block *block) {
    return block->start + (block->size > 0 ? block->size : 1);
}

static void place_begin(uint32_t slot) {
    struct block *block = &blocks[slot];
    const struct block *before = neighbour(block->start, false),
                       *behind = neighbour(block->start, true);
    if (before != NULL && end_of(before) > block->start)
        replay_fail("%zu bytes at %p overlap the live block of %zu bytes at %p", block->size,
                    (void *)block->start, before->size, (void *)before->start);
    if (behind != NULL && end_of(block) > behind->start)
        replay_fail("%zu bytes at %p overlap the live block of %zu bytes at %p", block->size,
                    (void *)block->start, behind->size, (void *)behind->start);
    uint32_t left, right;
    split(root, block->start, &left, &right);
    block->left = block->right = 0;
    root = join(join(left, slot + 1), right);
}

static void place_end(uint32_t slot) {
    uint32_t left, self, right;
    split(root, blocks[slot].start, &left, &right);
    split(right, blocks[slot].start + 1, &self, &right);
    root = join(left, right);
}

/* ---- a block's life -------------------------------------------------------------------------- */

void blocks_begin(uint32_t slot, void *start, size_t size, size_t align) {
    struct block *block = &blocks[slot];
    *block = (struct block){.start = start, .size = size, .seed = ++proved.blocks};
    if ((uintptr_t)start % align != 0)
        replay_fail("the block at %p is not aligned to %zu", start, align);
    place_begin(slot);
    block->live = true;
    each_piece(block, block->start, size, piece_write);
}

void blocks_end(uint32_t slot) {
    struct block *block = &blocks[slot];
    each_piece(block, block->start, block->size, piece_prove);
    place_end(slot);
    block->live = false;
}

void blocks_prove_all(void) {
    for (size_t slot = 0; slot < block_count; slot++)
        if (blocks[slot].live)
            each_piece(&blocks[slot], blocks[slot].start, blocks[slot].size, piece_prove);
}
