#include "verify/explore/blocks.h"

#include <string.h>

#include "core/hakmem.h"

static struct block blocks[BLOCKS];

static size_t ends_of(size_t size) {
    return size < 2 * BLOCK_ENDS ? size / 2 : BLOCK_ENDS;
}

struct block *block_at(unsigned number) {
    EXPLORE_CHECK(number < BLOCKS, "there are %u blocks", BLOCKS);
    return &blocks[number];
}

void block_take(unsigned number, size_t size) {
    struct block *block = block_at(number);
    unsigned char *start = hak_malloc(size);
    EXPLORE_CHECK(start != NULL, "no memory for block %u", number);
    EXPLORE_CHECK(block->start == NULL, "block %u is there already", number);
    memset(start, (int)number + 1, ends_of(size));
    memset(start + size - ends_of(size), (int)number + 1, ends_of(size));
    *block = (struct block){.start = start, .size = size};
}

static void prove(unsigned number) {
    const struct block *block = block_at(number);
    for (size_t i = 0; i < ends_of(block->size); i++) {
        unsigned char first = block->start[i], last = block->start[block->size - 1 - i];
        EXPLORE_CHECK(first == number + 1 && last == number + 1, "block %u was overwritten",
                      number);
    }
}

void block_give(unsigned number) {
    void *start = block_at(number)->start;
    EXPLORE_CHECK(start != NULL, "there is no block %u", number);
    prove(number);
    block_at(number)->start = NULL;
    hak_free(start);
}

void blocks_give_all(void) {
    for (unsigned number = 0; number < BLOCKS; number++)
        if (blocks[number].start != NULL) block_give(number);
}

void blocks_forget(void) {
    memset(blocks, 0, sizeof blocks);
}
