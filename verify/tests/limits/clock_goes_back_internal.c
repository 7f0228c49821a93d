/* Many threads read the clock, so a time may be compared with an earlier one. A time that is later
 * than now is not old: memory that was freed just now stays, and a thread that worked just now is
 * not idle. */
#define TEST_LINKED
#include "../test.h"

#include "core/cache.h"
#include "core/enter.h"
#include "core/heap.h"
#include "core/purge.h"
#include "core/seize.h"
#include "core/superslab.h"
#include "verify/clock.h"

#define DELAY  500u
#define BACK   5u
#define LARGE  ((size_t)1 << 20)
#define BUDGET ((size_t)64 << 20)

static uint32_t now;

static void at(uint32_t time) {
    hak_clock_passes(time - now);
    now = time;
}

static void keeps_large_blocks(void) {
    hak_cache_evict(now, UINT32_MAX, 0);
    void *block = hak_malloc(LARGE);
    memset(block, 1, LARGE);
    hak_free(block);
    size_t kept = hak_cache_bytes();
    CHECK(kept > 0, "nothing is cached");
    hak_cache_evict(now - BACK, DELAY, SIZE_MAX);
    CHECK(hak_cache_bytes() == kept, "%zu bytes are left of %zu", hak_cache_bytes(), kept);
    hak_cache_evict(now + DELAY, DELAY, SIZE_MAX);
    CHECK(hak_cache_bytes() == 0, "%zu bytes are left", hak_cache_bytes());
}

static struct hak_superslab *with_a_free_unit(void) {
    struct hak_superslab *ss =
        hak_superslab_create_from_range(&hak_thread_heap()->home, HAK_SUPERSLAB_SHIFT, false);
    CHECK(ss != NULL, "no SuperSlab");
    struct hak_slab *slab = hak_slab_create(ss, hak_class_of_size(100), ss->free_mask);
    CHECK(slab != NULL, "no slab");
    hak_slab_destroy(slab, now);
    CHECK(ss->dirty_mask != 0, "no unit holds memory");
    return ss;
}

static void keeps_free_units_and_superslabs(void) {
    struct hak_superslab *ss = with_a_free_unit();
    CHECK(hak_superslab_purge(ss, now - BACK, DELAY, NULL, NULL) == 0,
          "a unit that became free just now");
    hak_superslab_destroy(ss, BUDGET);
    size_t kept = hak_cache_bytes();
    CHECK(kept > 0, "no SuperSlab is cached");
    hak_cache_evict(now - BACK, DELAY, SIZE_MAX);
    CHECK(hak_cache_bytes() == kept, "%zu bytes are left of %zu", hak_cache_bytes(), kept);
    hak_cache_evict(now + DELAY, DELAY, SIZE_MAX);
    CHECK(hak_cache_bytes() == 0, "%zu bytes are left", hak_cache_bytes());
}

static bool visit(struct hak_heap *heap, void *count) {
    (void)heap;
    ++*(int *)count;
    return true;
}

/* Two looks at a sleeping thread must be half a delay apart. A look whose clock is behind the last
 * look does not count. */
static void looks_in_time(void) {
    static struct hak_thread sleeper;
    struct hak_heap *heap = hak_thread_heap();
    int visits = 0;
    hak_seize_unregister(heap);
    hak_heap_set_state(heap, HAK_HEAP_OWN);
    sleeper.books = HAK_THREAD.books; /* an audit needs the books of the heap's thread */
    atomic_store(&sleeper.heap, heap);
    atomic_store(&sleeper.announced, atomic_load(&HAK_THREAD.announced));
    atomic_store(&heap->thread, &sleeper);
    hak_seize_each(now, DELAY / 2, visit, NULL, &visits);
    hak_seize_each(now - BACK, DELAY / 2, visit, NULL, &visits);
    CHECK(visits == 0, "%d visits by a clock that is behind", visits);
    hak_seize_each(now + DELAY / 2, DELAY / 2, visit, NULL, &visits);
    CHECK(visits == 1, "%d visits in time", visits);
    atomic_store(&heap->thread, &HAK_THREAD);
}

/* A tick whose clock is behind the last tick does nothing. */
static void ticks_in_time(void) {
    struct hak_heap *heap = hak_thread_heap();
    heap->last_tick = now + BACK;
    for (int i = 0; i < 1000; i++)
        hak_tick_if_due(heap);
    CHECK(heap->last_tick == now + BACK, "a tick by a clock that is behind");
    at(now + BACK + DELAY);
    for (int i = 0; i < 1000; i++)
        hak_tick_if_due(heap);
    CHECK(heap->last_tick == now, "no tick in time");
}

int main(void) {
    static const uint32_t times[] = {1000, UINT32_MAX - 2, 3, (uint32_t)1 << 31};
    hak_free(hak_malloc(1));
    now = hak_os_now_ms();
    for (size_t i = 0; i < TEST_COUNT(times); i++) {
        at(times[i]);
        hak_slow_enter(0);
        keeps_large_blocks();
        keeps_free_units_and_superslabs();
        if (i == 0) looks_in_time();
        ticks_in_time();
        hak_slow_leave();
    }
    return test_ok("a time that is later than now is not old");
}
