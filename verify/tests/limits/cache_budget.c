/* HAKMEM_BIGCACHE_MB limits the memory that waits in the cache. After 128 MiB are freed,
 * the memory that stays resident is between the two arguments, in MiB. */
#include "../process.h"

int main(int count, char **arguments) {
    test_needs_hakmem();
    CHECK(count == 3, "usage: cache_budget LEAST MOST");
    size_t least = strtoul(arguments[1], NULL, 10), most = strtoul(arguments[2], NULL, 10);
    static void *blocks[128];
    size_t before = process_resident();
    for (size_t i = 0; i < TEST_COUNT(blocks); i++) {
        blocks[i] = malloc(MIB);
        CHECK(blocks[i] != NULL, "block %zu", i);
        memset(blocks[i], 1, MIB);
    }
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        free(blocks[i]);
    size_t kept = (process_resident() - before) / MIB;
    CHECK(kept >= least && kept <= most, "%zu MiB stay, not %zu to %zu", kept, least, most);
    return test_ok("between %zu and %zu MiB stay", least, most);
}
