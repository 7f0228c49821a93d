/* The cache of SuperSlabs holds 64 MiB, and more where what did not fit is soon asked for again: a program whose bursts are larger
 * has its memory back without page faults. That is so for as long as it has such bursts, and never for more than 512 MiB. */
#define TEST_LINKED
#include "../test.h"

#include "core/heap.h"

#define ONE   ((size_t)1 << HAK_SUPERSLAB_SHIFT)
#define MOST  ((size_t)64 << 20)
#define BURST 50
#define DELAY 500

static struct hak_superslab *burst[300];
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
    hak_superslab_cache_purge(now, DELAY);
    hak_superslab_cache_age(now, DELAY);
}

static void holds(size_t bytes, size_t most, const char *when) {
    CHECK(hak_superslab_cache_bytes() == bytes, "%s: %zu bytes instead of %zu", when,
          hak_superslab_cache_bytes(), bytes);
    CHECK(hak_superslab_cache_most() == most, "%s: it may hold %zu bytes instead of %zu", when,
          hak_superslab_cache_most(), most);
}

static void forget(uint32_t now) {
    hak_superslab_cache_purge(now, 0);
    hak_superslab_cache_age(now, 0);
    holds(0, MOST, "all was given back");
}

static void room_is_earned_and_lost(void) {
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
    hak_superslab_cache_purge(1900, 0);
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

static void what_missed_is_forgotten(void) {
    acquire(BURST);
    retire(5000, BURST);
    tick(5000);
    acquire(BURST);
    holds(0, MOST, "asked for long after");
    retire(5100, BURST);
    acquire(BURST);
    retire(5100, BURST);
    holds(BURST * ONE, BURST * ONE, "asked for again");
    forget(5200);
    acquire(BURST);
    retire(5300, BURST);
    forget(5400);
    acquire(BURST);
    holds(0, MOST, "what was forgotten is missed no more");
    retire(5500, BURST);
    forget(5600);
}

/* What is asked for is missed once only. */
static void nothing_is_earned_twice(void) {
    acquire(BURST);
    retire(6000, BURST);
    acquire(2 * BURST);
    holds(0, BURST * ONE, "more than before");
    retire(6100, BURST);
    forget(6200);
    for (size_t i = BURST; i < 2 * BURST; i++)
        burst[i - BURST] = burst[i];
    retire(6300, BURST);
    forget(6400);
}

static void what_is_stocked_was_missed(void) {
    acquire(BURST);
    retire(7000, BURST);
    acquire(MOST / ONE);
    hak_superslab_stock(5);
    holds(5 * ONE, MOST + 5 * ONE, "what was stocked");
    retire(7100, MOST / ONE);
    holds(MOST + 5 * ONE, MOST + 5 * ONE, "a burst beside it");
    forget(hak_os_now_ms()); /* when it was stocked */
}

static void there_is_a_ceiling(void) {
    acquire(TEST_COUNT(burst));
    retire(8000, TEST_COUNT(burst));
    acquire(TEST_COUNT(burst));
    holds(0, 8 * MOST, "600 MiB asked for again");
    retire(8100, TEST_COUNT(burst));
    holds(8 * MOST, 8 * MOST, "600 MiB again");
    forget(8200);
}

int main(void) {
    hak_free(hak_malloc(test_opaque(100)));
    home = &hak_thread_heap()->home;
    forget(900);
    room_is_earned_and_lost();
    what_is_old_goes();
    what_missed_is_forgotten();
    nothing_is_earned_twice();
    what_is_stocked_was_missed();
    there_is_a_ceiling();
    return test_ok("the cache of SuperSlabs grows by what is asked for again");
}
