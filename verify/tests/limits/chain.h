/* Blocks that are linked through themselves and carry a mark in their last bytes. A test that takes
 * all memory there is has no memory for a table of its blocks. */
#ifndef HAK_VERIFY_CHAIN_H
#define HAK_VERIFY_CHAIN_H

#include "../test.h"

struct link {
    struct link *next;
    size_t size; /* of the whole block; at least CHAIN_LEAST */
};

enum { CHAIN_LEAST = sizeof(struct link) + sizeof(uint64_t) };

static inline uint64_t chain_mark(const struct link *link) {
    return ((uint64_t)(uintptr_t)link + link->size) * 0x9e3779b97f4a7c15u;
}

static inline unsigned char *chain_mark_place(struct link *link) {
    return (unsigned char *)link + link->size - sizeof(uint64_t);
}

static inline void chain_push(struct link **chain, void *block, size_t size) {
    struct link *link = block;
    *link = (struct link){*chain, size};
    uint64_t mark = chain_mark(link);
    memcpy(chain_mark_place(link), &mark, sizeof mark);
    *chain = link;
}

/* Fails unless all blocks are as chain_push left them; returns their number. */
static inline size_t chain_check(struct link *chain) {
    size_t count = 0;
    for (struct link *link = chain; link != NULL; link = link->next) {
        uint64_t mark = chain_mark(link);
        CHECK(link->size >= CHAIN_LEAST && memcmp(chain_mark_place(link), &mark, sizeof mark) == 0,
              "block %p of %zu bytes, number %zu, is damaged", (void *)link, link->size, count);
        count++;
    }
    return count;
}

/* Frees the blocks that were pushed last: `count` of them, or all if there are fewer. */
static inline void chain_free(struct link **chain, size_t count) {
    while (count-- > 0 && *chain != NULL) {
        struct link *next = (*chain)->next;
        free(*chain);
        *chain = next;
    }
}

#endif
