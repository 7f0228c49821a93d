/* Headers and free lists that the program has overwritten. */
#include "faults.h"

/* ---- headers overwritten --------------------------------------------------------------------- */

static void header_overwritten(void) {
    char *block = about(take());
    block[-1] = 0x41;
    free(block);
}

static void header_zeroed(void) {
    char *block = about(take());
    block[-1] = 0;
    free(block);
}

static void realloc_header_overwritten(void) {
    char *block = about(take());
    block[-1] = 0x41;
    CHECK(realloc(block, test_opaque(10)) == NULL, "a block without a header was resized");
}

static void overflow_by_one(void) {
    char *blocks[40];
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        blocks[i] = take();
    size_t usable = malloc_usable_size(blocks[0]);
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        for (size_t k = 0; k < TEST_COUNT(blocks); k++)
            if (blocks[k] == blocks[i] + usable + 1) {
                /* The last byte that is written is the header of the next block. */
                memset(blocks[i], 0x41, usable + 1);
                free(about(blocks[k]));
                return;
            }
    CHECK(false, "no two neighbours of %zu bytes", usable);
}

/* ---- free lists overwritten: what is found when the block is handed out again ---------------- */

static void take_until_found(void) {
    for (size_t i = 0; i < 10000; i++)
        test_opaque_pointer(take());
}

/* Frees two blocks, so that the link of the first one leads to the second, and overwrites that link
 * by `link`. */
static void overwrite_link(const void *link) {
    char *second = take(), *first = take();
    free(second);
    free(first);
    memcpy(test_opaque_pointer(about(first)), &link, sizeof link);
    take_until_found();
}

static void link_garbage(void) {
    overwrite_link((void *)0x4141);
}

static void link_outside(void) {
    static char planted[64] __attribute__((aligned(64)));
    char *block = freed();
    planted[15] = block[-1]; /* the header of a free block of the same class */
    overwrite_link(planted + 16);
}

static void link_to_live(void) {
    overwrite_link(take());
}

static void link_off_by_8(void) {
    overwrite_link(take() + 8);
}

static void free_header_overwritten(void) {
    char *block = about(freed());
    block[-1] = 0x41;
    take_until_found();
}

static void free_header_set_live(void) {
    char *block = take();
    char live = block[-1];
    free(about(block));
    block = test_opaque_pointer(block);
    block[-1] = live;
    take_until_found();
}

static const struct kind kinds[] = {
    KIND(header_overwritten),   KIND(header_zeroed), KIND(realloc_header_overwritten),
    KIND(overflow_by_one),      KIND(link_garbage),  KIND(link_outside),
    KIND(link_to_live),         KIND(link_off_by_8), KIND(free_header_overwritten),
    KIND(free_header_set_live),
};

int main(int count, char **arguments) {
    return commit(kinds, TEST_COUNT(kinds), count, arguments);
}
