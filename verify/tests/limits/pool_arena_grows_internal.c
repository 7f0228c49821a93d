/* Chunks of the pool arena double as it grows, as often and as far as the options say. */
#define TEST_LINKED
#include "../test.h"

#include "core/pool_arena.h"

static void grows(uint32_t init_mb, uint32_t max_mb, uint32_t levels, const uint32_t *chunks) {
    struct hak_pool_arena arena = {.mib = 0};
    for (; *chunks != 0; chunks++) {
        uint32_t next = hak_pool_arena_next(&arena, init_mb, max_mb, levels);
        CHECK(next == *chunks, "%u after %u MiB with %u, %u, %u; not %u", next, arena.mib, init_mb,
              max_mb, levels, *chunks);
        arena.mib += next;
    }
}

int main(void) {
    grows(1, 8, 3, (const uint32_t[]){1, 2, 4, 8, 8, 8, 0});
    grows(1, 64, 3, (const uint32_t[]){1, 2, 4, 8, 8, 0});
    grows(1, 8, 0, (const uint32_t[]){1, 1, 1, 0});
    grows(1, 1, 3, (const uint32_t[]){1, 1, 1, 0});
    grows(4, 16, 6, (const uint32_t[]){4, 8, 16, 16, 0});
    grows(64, 1, 6, (const uint32_t[]){1, 1, 0});
    grows(3, 7, 6, (const uint32_t[]){2, 4, 4, 0}); /* rounded down to powers of two */
    grows(64, 64, 6, (const uint32_t[]){64, 64, 0});
    return test_ok("chunks double");
}
