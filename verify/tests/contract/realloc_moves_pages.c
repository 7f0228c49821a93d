/* realloc of a large block lets the kernel move or extend its pages. Growing and shrinking do not
 * touch the pages again, as the number of page faults shows. */
#include "../pattern.h"
#include "../process.h"

static void *resized(void *block, size_t from, size_t to) {
    size_t before = process_minor_faults();
    block = realloc(block, to);
    size_t faults = process_minor_faults() - before;
    size_t pages = (from < to ? from : to) / (size_t)sysconf(_SC_PAGESIZE);
    CHECK(block != NULL, "realloc from %zu to %zu MiB", from / MIB, to / MIB);
    CHECK(faults < pages / 16, "realloc from %zu to %zu MiB takes %zu faults for %zu pages",
          from / MIB, to / MIB, faults, pages);
    return block;
}

int main(void) {
    test_needs_hakmem();
    size_t size = (test_quick() ? 64 : 256) * MIB;
    void *block = malloc(size);
    pattern_fill(block, size, 1);
    block = resized(block, size, 2 * size);
    PATTERN_CHECK(block, size, 1);
    /* Takes free memory, so that the block cannot simply grow into the memory behind it. */
    void *barrier = malloc(size);
    block = resized(block, 2 * size, 4 * size);
    PATTERN_CHECK(block, size, 1);
    block = resized(block, 4 * size, size);
    PATTERN_CHECK(block, size, 1);
    free(barrier);
    free(block);
    return test_ok("%zu MiB grown and shrunk in place", size / MIB);
}
