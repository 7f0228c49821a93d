/* The arguments are the MiB of the first chunks of a thread's pool arena. A chunk is seen as the
 * growth of the process's SuperSlabs while blocks of 10 000 bytes are allocated. */
#define TEST_LINKED
#include "../test.h"

#include "core/range.h"

enum { SIZE = 10000, BLOCKS_MOST = 10000 };

static size_t superslab_mib(void) {
    return hak_footprint_superslabs() >> 20;
}

int main(int argc, char **argv) {
    int chunk = 1;
    size_t before = superslab_mib();
    for (int i = 0; i < BLOCKS_MOST && chunk < argc; i++) {
        CHECK(hak_malloc(SIZE) != NULL, "no memory");
        const size_t mib = superslab_mib();
        if (mib == before) continue;
        const size_t expected = strtoul(argv[chunk], NULL, 10);
        CHECK(mib - before == expected, "chunk %d has %zu MiB, not %zu", chunk, mib - before,
              expected);
        before = mib;
        chunk++;
    }
    CHECK(chunk == argc, "only %d chunks", chunk - 1);
    return test_ok("%d chunks", argc - 1);
}
