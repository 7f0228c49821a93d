/* A large block that was freed and is cached also serves shorter requests. Each request gets a
 * piece of it, the rest stays in the cache, and in the end all of it goes back to the system. */
#define TEST_LINKED
#include "../test.h"

#include "core/cache.h"
#include "verify/heap_check.h"

#define MIB ((size_t)1 << 20)

static char *big;
static size_t room; /* usable bytes at `big` */

static bool is_in_big(const char *block, size_t size) {
    return block >= big && block + size <= big + room;
}

static void heap_is_whole(void) {
    struct hak_heap_check check;
    CHECK(hak_check_heap(&check), "%lu equations do not hold", (unsigned long)check.faults);
}

int main(void) {
    char *pieces[4];
    hak_malloc_trim(0);
    big = hak_malloc(16 * MIB);
    CHECK(big != NULL, "no block");
    room = hak_malloc_usable_size(big);
    memset(big, 1, room);
    hak_free(big);
    size_t kept = hak_cache_bytes();
    CHECK(kept >= 16 * MIB, "%zu bytes are kept", kept);
    for (int i = 0; i < 4; i++) {
        pieces[i] = i % 2 == 0 ? hak_malloc(3 * MIB) : hak_calloc(3, MIB);
        CHECK(is_in_big(pieces[i], 3 * MIB), "piece %d is not of the block that was freed", i);
        for (size_t at = 0; i % 2 == 1 && at < 3 * MIB; at++)
            CHECK(pieces[i][at] == 0, "byte %zu of calloc is not zero", at);
        memset(pieces[i], 2 + i, 3 * MIB);
        CHECK(hak_cache_bytes() < kept - 3 * MIB, "%zu bytes are kept, and were %zu",
              hak_cache_bytes(), kept);
        kept = hak_cache_bytes();
        heap_is_whole();
    }
    char *other = hak_malloc(8 * MIB);
    CHECK(other != NULL && !is_in_big(other, 1), "8 MiB of what is less");
    CHECK(hak_cache_bytes() == kept, "%zu bytes are kept, and were %zu", hak_cache_bytes(), kept);
    for (int i = 0; i < 4; i++) {
        for (size_t at = 0; at < 3 * MIB; at++)
            CHECK(pieces[i][at] == 2 + i, "byte %zu of piece %d has changed", at, i);
        hak_free(pieces[i]);
    }
    hak_free(other);
    heap_is_whole();
    hak_malloc_trim(0);
    CHECK(hak_cache_bytes() == 0, "%zu bytes are kept after a trim", hak_cache_bytes());
    heap_is_whole();
    return test_ok("a kept block serves four others");
}
