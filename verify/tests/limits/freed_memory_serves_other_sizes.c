/* The memory of freed pool blocks serves small blocks at once, and the other way round. Freed
 * memory waits for its purge only as long as no block needs it. */
#include "../process.h"

#define BYTES (24 * MIB)
/* What bins keep of each of the six sizes, and the SuperSlabs that these blocks hold. */
#define SLACK (16 * MIB)

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
