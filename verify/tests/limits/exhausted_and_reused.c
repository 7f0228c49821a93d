/* Under a limit on address space or data, each tier in turn takes memory until there is none. The
 * refused request returns NULL with ENOMEM, and all earlier blocks are intact. After they are
 * freed, the next tier can use their memory. */
#include "../process.h"
#include "chain.h"

static const size_t sizes[] = {24, 300, 4000, 20000, 50000, 100000, 1 << 20, 24, 3 << 20, 1500, 24};
static const size_t enough = (size_t)4 << 30; /* more than any limit that this runs under */

/* Allocates until malloc(size) fails, and frees all; returns the bytes. */
static size_t exhaust(size_t size) {
    struct link *chain = NULL;
    size_t count = 0;
    void *block;
    errno = 0;
    while (count * size < enough && (block = malloc(size)) != NULL) {
        chain_push(&chain, block, size);
        count++;
    }
    CHECK(count > 0 && count * size < enough, "%zu blocks of %zu bytes: the run needs a limit",
          count, size);
    CHECK(errno == ENOMEM, "malloc(%zu) fails with errno %d", size, errno);
    CHECK(chain_check(chain) == count, "%zu blocks of %zu bytes: some are lost", count, size);
    chain_free(&chain, SIZE_MAX);
    return count * size;
}

int main(void) {
    test_needs_hakmem();
    size_t first = 0, least = SIZE_MAX;
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        size_t bytes = exhaust(sizes[i]);
        if (i == 0) first = bytes;
        if (bytes < least) least = bytes;
        CHECK(bytes >= first / 4 * 3,
              "%zu MiB in blocks of %zu bytes, but %zu MiB before in blocks of %zu", bytes / MIB,
              sizes[i], first / MIB, sizes[0]);
    }
    return test_ok("at least %zu MiB in each of %zu sizes", least / MIB, TEST_COUNT(sizes));
}
