/* The cache holds its budget, and more if memory that did not fit is soon asked for again: then a
 * program with larger bursts gets its memory back without page faults. What was earned lasts as
 * long as the program has such bursts, and is never above 128 MiB or a quarter of the live large
 * blocks. */
#define TEST_LINKED
#include "../test.h"

#include "core/cache.h"
#include "core/heap.h"
#include "verify/clock.h"

#define MIB    ((size_t)1 << 20)
#define ONE    ((size_t)1 << HAK_SUPERSLAB_SHIFT)
#define BUDGET (64 * MIB)
#define BURST  50 /* SuperSlabs: 100 MiB */
#define MORE   (BURST * ONE - BUDGET)
#define DELAY  500

static struct hak_superslab *burst[200];
static struct hak_home *home;

static void acquire(size_t count) {
    for (size_t i = 0; i < count; i++) {
        burst[i] = hak_superslab_create(home, HAK_SUPERSLAB_SHIFT, false);
        CHECK(burst[i] != NULL && hak_superslab_bytes(burst[i]) == ONE, "no SuperSlab");
    }
}

static void retire(uint32_t now, size_t count) {
    for (size_t i = 0; i < count; i++) {
        burst[i]->dirty_mask = burst[i]->usable_mask; /* all of it counts */
        burst[i]->since = now;
        hak_superslab_destroy(burst[i], BUDGET);
    }
}

static void tick(uint32_t now) {
    hak_cache_evict(now, DELAY, SIZE_MAX);
}

static void holds(size_t bytes, size_t earned, const char *when) {
    CHECK(hak_cache_bytes() == bytes, "%s: %zu bytes instead of %zu", when, hak_cache_bytes(),
          bytes);
    CHECK(hak_cache_earned() == earned, "%s: %zu bytes are earned instead of %zu", when,
          hak_cache_earned(), earned);
}

/* Where the cache is full, a 32nd more goes than must: a few spans fewer are left. */
static void is_full(size_t earned, const char *when) {
    const size_t most = BUDGET + earned;
    CHECK(hak_cache_bytes() <= most && hak_cache_bytes() >= most - most / 32,
          "%s: %zu bytes of at most %zu", when, hak_cache_bytes(), most);
    CHECK(hak_cache_earned() == earned, "%s: %zu bytes are earned instead of %zu", when,
          hak_cache_earned(), earned);
}

static void forget(uint32_t now) {
    hak_cache_evict(now, UINT32_MAX, 0);
    holds(0, 0, "all was given back");
}

/* A burst ends, and the same memory is asked for again: what did not fit was missed. */
static void earn(uint32_t now) {
    acquire(BURST);
    retire(now, BURST);
    is_full(0, "a first burst");
    const size_t left = BURST * ONE - hak_cache_bytes();
    acquire(BURST);
    holds(0, left, "asked for again");
    CHECK(left >= MORE, "%zu bytes went to the range", left);
}

static void it_rises_and_falls(void) {
    earn(1000);
    const size_t earned = hak_cache_earned();
    tick(1200);
    retire(1300, BURST);
    holds(BURST * ONE, earned, "a second burst");
    acquire(BURST);
    tick(1500);
    tick(1700);
    holds(0, earned, "in use again");
    retire(1800, BURST);
    holds(BURST * ONE, earned, "a third burst");
    acquire(BURST);
    tick(2250);
    holds(0, MORE, "as much as was used of it");
    tick(2500);
    holds(0, MORE, "in use for less than the delay");
    tick(2751);
    holds(0, 0, "in use for longer");
    retire(2800, BURST);
    is_full(0, "its end: the program may sleep now");
    forget(2900);
}

static void what_is_old_goes(void) {
    earn(3000);
    retire(3000, BURST);
    tick(3499);
    CHECK(hak_cache_bytes() == BURST * ONE, "%zu bytes: not old yet", hak_cache_bytes());
    tick(3500);
    CHECK(hak_cache_bytes() == 0, "%zu bytes are old", hak_cache_bytes());
    forget(3600);
}

/* The last burst lasts long, and the program takes no slow path meanwhile: the first tick comes at
 * the burst's end. */
static void nothing_ticked_meanwhile(void) {
    tick(4600);
    earn(4650);
    tick(4650 + 2 * DELAY);
    holds(0, 0, "no tick for two delays");
    retire(5800, BURST);
    is_full(0, "its end");
    forget(5900);
}

static void what_missed_is_forgotten(void) {
    tick(5900);
    acquire(BURST);
    retire(5950, BURST);
    tick(5900 + 2 * DELAY);
    acquire(BURST);
    holds(0, 0, "asked for long after");
    retire(7000, BURST);
    forget(7100);
    acquire(BURST);
    holds(0, 0, "what was forgotten is missed no more");
    retire(7200, BURST);
    forget(7300);
}

/* Memory that went to the range is missed only once. */
static void nothing_is_earned_twice(void) {
    acquire(BURST);
    retire(7400, BURST);
    const size_t left = BURST * ONE - hak_cache_bytes();
    acquire(2 * BURST);
    holds(0, left, "more than before");
    retire(7500, 2 * BURST);
    forget(7600);
}

static void there_is_a_ceiling(void) {
    acquire(TEST_COUNT(burst));
    retire(8000, TEST_COUNT(burst));
    acquire(TEST_COUNT(burst));
    holds(0, 128 * MIB, "400 MiB asked for again");
    retire(8100, TEST_COUNT(burst));
    is_full(128 * MIB, "400 MiB again");
    forget(8200);
}

/* A budget of 0 is the caller's wish: nothing is missed. */
static void no_budget_no_miss(void) {
    acquire(BURST);
    for (size_t i = 0; i < BURST; i++) {
        burst[i]->dirty_mask = 1;
        hak_superslab_destroy(burst[i], 0);
    }
    acquire(BURST);
    holds(0, 0, "no budget");
    retire(8300, BURST);
    forget(8300);
}

/* The clock's highest bit is set, but was not when it was last looked at. Then the clock wraps. */
static void the_machine_is_up_for_long(void) {
    forget(1);
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t now = 0x90000000u + i * 0x20000000u;
        forget(now);
        earn(now);
        retire(now + 10, BURST);
        tick(now + 10 + DELAY);
        CHECK(hak_cache_bytes() == 0, "%zu bytes are old at %u", hak_cache_bytes(), now);
        tick(now + 10 + 3 * DELAY);
        holds(0, 0, "over");
    }
}

static void blocks_come_and_go(int rounds, size_t count, size_t size) {
    static char *blocks[6000];
    CHECK(count <= TEST_COUNT(blocks), "%zu are too many", count);
    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < count; i++)
            blocks[i] = hak_malloc(test_opaque(size));
        for (size_t i = 0; i < count; i++)
            hak_free(blocks[i]);
    }
}

/* The same through malloc and free, in bursts of 183 MiB of blocks in slabs, and of large ones; the
 * budget is 128 MiB. */
static void a_program_has_bursts(size_t count, size_t size) {
    blocks_come_and_go(3, count, size);
    CHECK(hak_cache_earned() > 0, "nothing was earned by blocks of %zu bytes", size);
    hak_malloc_trim(0);
    CHECK(hak_cache_earned() == 0, "%zu bytes after a trim", hak_cache_earned());
    blocks_come_and_go(3, count, size);
    CHECK(hak_cache_earned() > 0, "nothing was earned again");
    for (uint32_t passed = 0; hak_cache_earned() > 0; passed += 10) {
        CHECK(passed < 5000, "%zu bytes five seconds later", hak_cache_earned());
        hak_clock_passes(10);
        blocks_come_and_go(1, 1000, 1000);
    }
}

int main(void) {
    hak_free(hak_malloc(test_opaque(100)));
    home = &hak_thread_heap()->home;
    forget(900);
    it_rises_and_falls();
    what_is_old_goes();
    nothing_ticked_meanwhile();
    what_missed_is_forgotten();
    nothing_is_earned_twice();
    there_is_a_ceiling();
    no_budget_no_miss();
    the_machine_is_up_for_long();
    forget(0);
    a_program_has_bursts(6000, 32000);
    a_program_has_bursts(200, 1000000);
    return test_ok("the cache grows by what is asked for again");
}
