/* A block whose pages the kernel moved is a mapping of its own; once it is freed, its place is none any more, however often
 * and wherever that happens. */
#include "../process.h"

#include <malloc.h>

enum { ROUNDS = 300, MOST = 20 };

int main(void) {
    test_needs_hakmem();
    static void *kept[ROUNDS][2];
    free(malloc(4 << 20));
    malloc_trim(0); /* or blocks would be copied into it */
    size_t before = process_mappings(), moved = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        char *block = malloc(1 << 20);
        kept[i][0] = malloc(100000); /* behind it, so that it cannot grow where it is */
        memset(block, 1, 1 << 20);
        char *grown = realloc(block, (2 << 20) + i * 65536);
        CHECK(grown != NULL && grown[(1 << 20) - 1] == 1, "realloc %zu", i);
        moved += grown != block;
        free(grown);
        kept[i][1] = malloc(
            300000); /* takes a part of a place that is free, so that the next one is another */
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
