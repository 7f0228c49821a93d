/* The cache of SuperSlabs holds 64 MiB, and more if SuperSlabs that did not fit are soon asked for
 * again: then a program with larger bursts gets its memory back without page faults. The raised
 * maximum lasts as long as the program has such bursts, and is never above 256 MiB. */
#define TEST_LINKED
#include "../test.h"

#include "core/heap.h"
#include "core/superslab_cache.h"
#include "verify/clock.h"

#define ONE   ((size_t)1 << HAK_SUPERSLAB_SHIFT)
#define MOST  ((size_t)64 << 20)
#define BURST 50
#define DELAY 500

static struct hak_superslab *burst[200];
static struct hak_home *home;

static void acquire(size_t count) {
    for (size_t i = 0; i < count; i++) {
        burst[i] = hak_superslab_acquire(home, HAK_SUPERSLAB_SHIFT, false);
        CHECK(burst[i] != NULL, "no SuperSlab");
    }
}

static void retire(uint32_t now, size_t count) {
    for (size_t i = 0; i < count; i++) {
        burst[i]->since = now;
        hak_superslab_retire(burst[i]);
    }
}

static void tick(uint32_t now) {
    hak_superslab_cache_release(now, DELAY);
}

static void holds(size_t bytes, size_t most, const char *when) {
    CHECK(hak_superslab_cache_bytes() == bytes, "%s: %zu bytes instead of %zu", when,
          hak_superslab_cache_bytes(), bytes);
    CHECK(hak_superslab_cache_most() == most, "%s: it may hold %zu bytes instead of %zu", when,
          hak_superslab_cache_most(), most);
}

static void forget(uint32_t now) {
    hak_superslab_cache_release(now, 0);
    holds(0, MOST, "all was given back");
}

static void maximum_rises_and_falls(void) {
    acquire(BURST);
    holds(0, MOST, "before the first burst ends");
    retire(1000, BURST);
    holds(MOST, MOST, "a first burst");
    tick(1200);
    acquire(BURST);
    holds(0, BURST * ONE, "asked for again");
    retire(1300, BURST);
    holds(BURST * ONE, BURST * ONE, "a second burst");
    acquire(BURST);
    tick(1500);
    tick(1700);
    holds(0, BURST * ONE, "in use again");
    retire(1800, BURST);
    holds(BURST * ONE, BURST * ONE, "a third burst");
    hak_superslab_cache_release_of(hak_thread_heap());
    holds(0, BURST * ONE, "given back for another's sake");
    acquire(BURST);
    tick(2000);
    holds(0, BURST * ONE, "in use for less than the delay");
    tick(2500);
    holds(0, MOST, "in use for longer");
    retire(2600, BURST);
    holds(MOST, MOST, "its end: the program may sleep now");
    forget(2700);
}

static void what_is_old_goes(void) {
    acquire(BURST);
    retire(3000, BURST);
    acquire(BURST);
    retire(3000, BURST);
    tick(3499);
    holds(BURST * ONE, BURST * ONE, "not old yet");
    tick(3500);
    holds(0, BURST * ONE, "old");
    tick(3999);
    holds(0, BURST * ONE, "and not used for one span");
    tick(4499);
    holds(0, MOST, "for two");
}

/* The last burst lasts long, and the program takes no slow path meanwhile: the first tick comes at
 * the burst's end. */
static void nothing_ticked_meanwhile(void) {
    acquire(BURST);
    retire(4600, BURST);
    acquire(BURST);
    retire(4600, BURST);
    tick(4700);
    acquire(BURST);
    tick(4700 + 2 * DELAY);
    holds(0, MOST, "no tick for two delays");
    retire(5800, BURST);
    holds(MOST, MOST, "its end");
    forget(5900);
}

static void what_missed_is_forgotten(void) {
    acquire(BURST);
    retire(5950, BURST);
    tick(5900 + DELAY);
    acquire(BURST);
    holds(0, MOST, "asked for long after");
    retire(6500, BURST);
    acquire(BURST);
    retire(6500, BURST);
    holds(BURST * ONE, BURST * ONE, "asked for again");
    forget(6600);
    acquire(BURST);
    retire(6600, BURST);
    forget(6700);
    acquire(BURST);
    holds(0, MOST, "what was forgotten is missed no more");
    retire(6800, BURST);
    forget(6900);
}

/* SuperSlabs that went to the range raise the maximum only once. */
static void nothing_is_earned_twice(void) {
    acquire(BURST);
    retire(7000, BURST);
    acquire(2 * BURST);
    holds(0, BURST * ONE, "more than before");
    retire(7100, 2 * BURST);
    forget(7200);
}

static void prefill_counts_as_missed(void) {
    acquire(BURST);
    retire(hak_os_now_ms(), BURST);
    acquire(MOST / ONE);
    hak_superslab_prefill(5);
    holds(5 * ONE, MOST + 5 * ONE, "what was stocked");
    retire(hak_os_now_ms(), MOST / ONE);
    holds(MOST + 5 * ONE, MOST + 5 * ONE, "a burst beside it");
    forget(hak_os_now_ms());
}

static void there_is_a_ceiling(void) {
    acquire(TEST_COUNT(burst));
    retire(8000, TEST_COUNT(burst));
    acquire(TEST_COUNT(burst));
    holds(0, 4 * MOST, "400 MiB asked for again");
    retire(8100, TEST_COUNT(burst));
    holds(4 * MOST, 4 * MOST, "400 MiB again");
    forget(8200);
}

/* The clock's highest bit is set, but was not when the cache's maximum was last set. Then the clock
 * wraps. */
static void the_machine_is_up_for_long(void) {
    forget(1);
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t now = 0x90000000u + i * 0x20000000u;
        acquire(BURST);
        retire(now, BURST);
        acquire(BURST);
        holds(0, BURST * ONE, "earned");
        tick(now + DELAY);
        tick(now + 2 * DELAY);
        holds(0, MOST, "over");
        retire(now + 2 * DELAY, BURST);
        tick(now + 3 * DELAY);
        holds(0, MOST, "old");
    }
}

static void blocks_come_and_go(int rounds, size_t count, size_t size) {
    static char *blocks[3000];
    CHECK(count <= TEST_COUNT(blocks), "%zu are too many", count);
    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < count; i++)
            blocks[i] = hak_malloc(test_opaque(size));
        for (size_t i = 0; i < count; i++)
            hak_free(blocks[i]);
    }
}

/* The same through malloc and free, in bursts of 92 MiB. */
static void a_program_has_bursts(void) {
    blocks_come_and_go(3, 3000, 32000);
    CHECK(hak_superslab_cache_most() > MOST, "nothing was earned");
    hak_malloc_trim(0);
    CHECK(hak_superslab_cache_most() == MOST, "%zu bytes after a trim", hak_superslab_cache_most());
    blocks_come_and_go(3, 3000, 32000);
    CHECK(hak_superslab_cache_most() > MOST, "nothing was earned again");
    for (uint32_t passed = 0; hak_superslab_cache_most() > MOST; passed += 10) {
        CHECK(passed < 5000, "%zu bytes five seconds later", hak_superslab_cache_most());
        hak_clock_passes(10);
        blocks_come_and_go(1, 1000, 1000);
    }
}

int main(void) {
    hak_free(hak_malloc(test_opaque(100)));
    home = &hak_thread_heap()->home;
    forget(900);
    maximum_rises_and_falls();
    what_is_old_goes();
    nothing_ticked_meanwhile();
    what_missed_is_forgotten();
    nothing_is_earned_twice();
    prefill_counts_as_missed();
    there_is_a_ceiling();
    the_machine_is_up_for_long();
    forget(0);
    a_program_has_bursts();
    return test_ok("the cache of SuperSlabs grows by what is asked for again");
}
