/* Some buffers grow in turns, so that each stands in the others' way. Their pages are moved, not
 * copied, so each page has one page fault.
 *
 * usage: buffers_grow_in_turns BUFFERS STEP, where STEP is the bytes that each buffer grows by */
#include "../process.h"

#define ALL    (128 * MIB)
#define COPIED (MIB / 4) /* a buffer up to this size may be copied, some times over */

int main(int argc, char **argv) {
    CHECK(argc == 3, "usage: buffers_grow_in_turns BUFFERS STEP");
    const size_t count = strtoul(argv[1], NULL, 10), step = strtoul(argv[2], NULL, 10);
    unsigned char **buffers = calloc(count, sizeof *buffers);
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), before = process_minor_faults();
    size_t moves = 0, bytes = 0;
    for (; bytes < ALL / count; bytes += step)
        for (size_t i = 0; i < count; i++) {
            unsigned char *longer = realloc(buffers[i], bytes + step);
            CHECK(longer != NULL, "no %zu bytes", bytes + step);
            moves += longer != buffers[i];
            for (size_t at = bytes; at < bytes + step; at++)
                longer[at] = (unsigned char)(at / 97 + i);
            buffers[i] = longer;
        }
    const size_t faults = process_minor_faults() - before, pages = count * bytes / page;
    CHECK(faults <= pages + pages / 20 + count * COPIED * 8 / page + 200,
          "%zu faults for %zu pages", faults, pages);
    for (size_t i = 0; i < count; i++)
        for (size_t at = 0; at < bytes; at++)
            CHECK(buffers[i][at] == (unsigned char)(at / 97 + i), "byte %zu of buffer %zu is %d",
                  at, i, buffers[i][at]);
    for (size_t i = 0; i < count; i++)
        free(buffers[i]);
    free(buffers);
    return test_ok("%zu buffers of %zu bytes, %zu moves, %zu faults", count, bytes, moves, faults);
}
