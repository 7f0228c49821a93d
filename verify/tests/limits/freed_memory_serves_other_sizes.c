/* What pool blocks held serves small blocks at once, and the other way round: freed memory waits for its purge only where nobody
 * wants any. */
#include "../process.h"

#define BYTES (24 * MIB)
#define SLACK                                                                                      \
    (16 * MIB) /* what lists keep of each size, and SuperSlabs that are held by that; six sizes */

static void *blocks[BYTES / 100];

static void fill_and_free(size_t size) {
    size_t count = BYTES / size;
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL, "no block");
        memset(blocks[i], 1, size);
    }
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
}

int main(void) {
    static const size_t sizes[] = {10000, 100, 20000, 1500, 40000, 200};
    memset(blocks, 1, sizeof blocks);
    fill_and_free(sizes[0]);
    size_t before = process_resident();
    for (size_t i = 1; i < TEST_COUNT(sizes); i++) {
        fill_and_free(sizes[i]);
        size_t now = process_resident();
        CHECK(now <= before + SLACK, "blocks of %zu bytes made it %zu KiB more", sizes[i],
              (now - before) >> 10);
    }
    return test_ok("%zu MiB serve six sizes", BYTES / MIB);
}
