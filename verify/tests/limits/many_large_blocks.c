/* More large blocks are live at once than the kernel allows mappings (65530). Then every other
 * block is freed, and its memory given back. No request fails, and the number of mappings stays
 * small. */
#include "../process.h"

enum { SIZE = 60000 };

static void fill(unsigned char **blocks, size_t first, size_t step, size_t count) {
    for (size_t i = first; i < count; i += step) {
        blocks[i] = malloc(SIZE);
        CHECK(blocks[i] != NULL, "block %zu of %zu: errno %d, %zu mappings", i, count, errno,
              process_mappings());
        blocks[i][0] = (unsigned char)i;
    }
}

int main(void) {
    test_needs_hakmem();
    size_t count = test_quick() ? 20000 : 80000;
    unsigned char **blocks = process_map(count * sizeof *blocks);
    fill(blocks, 0, 1, count);
    CHECK(process_mappings() < 1000, "%zu mappings with %zu blocks", process_mappings(), count);
    for (size_t i = 0; i < count; i += 2)
        free(blocks[i]);
    malloc_trim(0);
    CHECK(process_mappings() < 1000, "%zu mappings after half of %zu blocks were freed",
          process_mappings(), count);
    fill(blocks, 0, 2, count);
    for (size_t i = 0; i < count; i++) {
        CHECK(blocks[i][0] == (unsigned char)i, "block %zu holds %u", i, blocks[i][0]);
        free(blocks[i]);
    }
    return test_ok("%zu blocks of %d bytes", count, SIZE);
}
