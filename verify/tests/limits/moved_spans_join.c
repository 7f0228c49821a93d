/* A block whose pages the kernel moved is a kernel mapping of its own. After it is freed, its span
 * belongs to the range's mapping again, however often and wherever this happens. */
#include "../process.h"

#include <malloc.h>

enum { ROUNDS = 300, MOST = 20 };

int main(void) {
    test_needs_hakmem();
    static void *kept[ROUNDS][2];
    free(malloc(4 << 20));
    malloc_trim(0); /* otherwise realloc would copy blocks into the cached one */
    size_t before = process_mappings(), moved = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        char *block = malloc(1 << 20);
        kept[i][0] = malloc(100000); /* keeps `block` from growing in place */
        memset(block, 1, 1 << 20);
        char *grown = realloc(block, (2 << 20) + i * 65536);
        CHECK(grown != NULL && grown[(1 << 20) - 1] == 1, "realloc %zu", i);
        moved += grown != block;
        free(grown);
        /* Takes a part of a free span, so that the next free span is another one. */
        kept[i][1] = malloc(300000);
    }
    size_t after = process_mappings();
    CHECK(moved > ROUNDS / 2, "only %zu blocks were moved", moved);
    CHECK(after <= before + MOST, "%zu mappings before, %zu after", before, after);
    for (size_t i = 0; i < ROUNDS; i++) {
        free(kept[i][0]);
        free(kept[i][1]);
    }
    return test_ok("%zu blocks moved", moved);
}
