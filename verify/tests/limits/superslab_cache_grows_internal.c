/* The cache of SuperSlabs holds 64 MiB, and more where what did not fit is soon asked for again: a program whose bursts are larger
 * has its memory back without page faults. What gets old there takes that away again. */
#define TEST_LINKED
#include "../test.h"

#include "core/heap.h"

#define MOST ((size_t)64 << 20)
#define ONE  ((size_t)1 << HAK_SUPERSLAB_SHIFT)

static struct hak_superslab *burst[50];

static void acquire_all(struct hak_home *home) {
    for (size_t i = 0; i < TEST_COUNT(burst); i++) {
        burst[i] = hak_superslab_acquire(home, HAK_SUPERSLAB_SHIFT, false);
        CHECK(burst[i] != NULL, "no SuperSlab");
    }
}

static void retire_all(uint32_t now, size_t count) {
    for (size_t i = 0; i < count; i++) {
        burst[i]->since = now;
        hak_superslab_retire(burst[i]);
    }
}

static void holds(size_t bytes, const char *when) {
    CHECK(hak_superslab_cache_bytes() == bytes, "%s: %zu bytes instead of %zu", when,
          hak_superslab_cache_bytes(), bytes);
}

int main(void) {
    hak_free(hak_malloc(test_opaque(100)));
    struct hak_home *home = &hak_thread_heap()->home;
    hak_superslab_cache_purge(hak_os_now_ms(), 0);
    acquire_all(home);
    retire_all(1000, TEST_COUNT(burst));
    holds(MOST, "a first burst");
    acquire_all(home);
    holds(0, "asked for again");
    retire_all(1100, TEST_COUNT(burst));
    holds(TEST_COUNT(burst) * ONE, "a second burst");
    /* In use again while the delay goes by: it keeps its room. */
    acquire_all(home);
    hak_superslab_cache_purge(2000, 500);
    retire_all(2100, TEST_COUNT(burst));
    holds(TEST_COUNT(burst) * ONE, "a third burst");
    CHECK(hak_superslab_cache_purge(2300, 500) == 0, "young ones were purged");
    CHECK(hak_superslab_cache_purge(2700, 500) == TEST_COUNT(burst) * ONE, "old ones were not purged");
    holds(0, "old");
    /* It was not asked for in time: the room went with it, and what misses it now has been gone for too long. */
    acquire_all(home);
    retire_all(3000, TEST_COUNT(burst));
    holds(MOST, "a burst after the purge");
    hak_superslab_cache_purge(3600, 500);
    acquire_all(home);
    retire_all(3700, TEST_COUNT(burst));
    holds(MOST, "a burst long after the last");
    /* What is stocked from the range was missing, too. */
    for (size_t i = 0; i < MOST / ONE; i++)
        burst[i] = hak_superslab_acquire(home, HAK_SUPERSLAB_SHIFT, false);
    hak_superslab_stock(5);
    retire_all(3800, MOST / ONE);
    holds(MOST + 5 * ONE, "a burst beside what was stocked");
    return test_ok("the cache of SuperSlabs grows by what is asked for again");
}
