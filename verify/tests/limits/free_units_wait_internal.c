/* Free units of a SuperSlab keep their memory for one purge delay. Where slabs come and go all the
 * time, some unit always became free lately: then they keep it for at most two. */
#define TEST_LINKED
#include "../test.h"

#include "core/heap.h"
#include "core/superslab.h"

#define UNITS 32
#define DELAY 100
#define STEP  40 /* milliseconds between two looks */

static struct hak_superslab *ss;
static struct hak_slab *slabs[UNITS];

static void begin(void) {
    ss = hak_superslab_create_from_range(&hak_thread_heap()->home, HAK_SUPERSLAB_SHIFT, false);
    CHECK(ss != NULL && ss->units == UNITS && ss->dirty_mask == 0, "no SuperSlab that is new");
    for (unsigned i = 0; i < UNITS; i++)
        slabs[i] = hak_slab_create(ss, 1, 1u << i);
}

static void end(uint32_t now) {
    for (unsigned i = 0; i < UNITS; i++)
        if (slabs[i] != NULL) hak_slab_destroy(slabs[i], now);
    hak_superslab_purge(ss, now, 0, NULL, NULL);
    CHECK(ss->dirty_mask == 0, "units that hold memory after a purge of all: %#x", ss->dirty_mask);
    hak_superslab_destroy(ss, 0);
}

static void give_up(unsigned unit, uint32_t now) {
    hak_slab_destroy(slabs[unit], now);
    slabs[unit] = NULL;
}

static void look(uint32_t now, uint32_t dirty) {
    hak_superslab_purge(ss, now, DELAY, NULL, NULL);
    CHECK(ss->dirty_mask == dirty, "units that hold memory: %#x instead of %#x after %u ms",
          ss->dirty_mask, dirty, now);
}

static void none_came_lately(void) {
    begin();
    give_up(3, 1000);
    give_up(7, 1030);
    look(1099, 1u << 3 | 1u << 7);
    look(1130, 0);
    end(1200);
}

/* Unit 0 is given up and taken again at each step; the other free units were given up before. */
static void one_always_did(void) {
    begin();
    for (unsigned i = 4; i < UNITS; i++)
        give_up(i, 2000);
    uint32_t back = 0;
    for (uint32_t now = 2000; now <= 2000 + 4 * DELAY; now += STEP) {
        give_up(0, now);
        hak_superslab_purge(ss, now, DELAY, NULL, NULL);
        CHECK((ss->dirty_mask & 1) != 0, "a unit that was given up just now holds nothing");
        if (back == 0 && ss->dirty_mask == 1) back = now - 2000;
        CHECK(now - 2000 >= DELAY || ss->dirty_mask == (UINT32_MAX << 4 | 1),
              "units hold %#x after %u ms", ss->dirty_mask, now - 2000);
        slabs[0] = hak_slab_create(ss, 1, 1);
    }
    CHECK(back >= DELAY && back <= 2 * DELAY + STEP, "they hold nothing after %u ms (0: never)",
          back);
    end(3000);
}

/* A unit that was in a slab meanwhile waits anew. */
static void one_was_taken_in_between(void) {
    begin();
    give_up(5, 4000);
    give_up(6, 4000);
    give_up(9, 4090);
    look(4100, 1u << 5 | 1u << 6 | 1u << 9); /* this look notes that they wait */
    slabs[5] = hak_slab_create(ss, 1, 1u << 5);
    give_up(5, 4150);
    look(4199, 1u << 5 | 1u << 6 | 1u << 9);
    look(4200, 1u << 5);
    look(4249, 1u << 5);
    look(4250, 0);
    end(4300);
}

int main(void) {
    hak_free(hak_malloc(test_opaque(100)));
    none_came_lately();
    one_always_did();
    one_was_taken_in_between();
    return test_ok("free units wait for one purge delay or two");
}
