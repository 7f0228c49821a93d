/* The cache of SuperSlabs gives a thread a SuperSlab that this thread gave up, because the
 * processor's caches may still hold lines of its blocks; or else the most recent one. */
#define TEST_LINKED
#include "../test.h"

#include <pthread.h>

#include "core/heap.h"
#include "core/superslab_cache.h"

static pthread_barrier_t barrier;
static struct hak_home *other_home;

static void *live_with_a_heap(void *unused) {
    hak_free(hak_malloc(test_opaque(100)));
    other_home = &hak_thread_heap()->home;
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return unused;
}

static struct hak_superslab *acquire(struct hak_home *home) {
    struct hak_superslab *ss = hak_superslab_acquire(home, HAK_SUPERSLAB_SHIFT, false);
    CHECK(ss != NULL, "no SuperSlab");
    return ss;
}

int main(void) {
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    CHECK(pthread_create(&thread, NULL, live_with_a_heap, NULL) == 0, "no thread");
    pthread_barrier_wait(&barrier);
    hak_free(hak_malloc(test_opaque(100)));
    struct hak_home *home = &hak_thread_heap()->home;
    struct hak_superslab *own[2] = {acquire(home), acquire(home)}, *others = acquire(other_home);
    hak_superslab_retire(own[0]);
    hak_superslab_retire(own[1]);
    hak_superslab_retire(others);
    CHECK(acquire(other_home) == others, "not the other thread's");
    hak_superslab_retire(others);
    CHECK(acquire(home) == own[1], "not the most recent one of its own");
    CHECK(acquire(home) == own[0], "not the last one of its own");
    CHECK(acquire(home) == others, "not the one that is left");
    /* 15 SuperSlabs of the other thread are before this one: it is the last that is looked at. */
    struct hak_superslab *many[15];
    for (size_t i = 0; i < TEST_COUNT(many); i++)
        many[i] = acquire(other_home);
    CHECK(hak_superslab_cache_bytes() == 0, "%zu bytes are in the cache",
          hak_superslab_cache_bytes());
    hak_superslab_retire(own[0]);
    for (size_t i = 0; i < TEST_COUNT(many); i++)
        hak_superslab_retire(many[i]);
    CHECK(hak_superslab_cache_bytes() == 16u << HAK_SUPERSLAB_SHIFT, "the cache did not take all");
    CHECK(acquire(home) == own[0], "%zu others hide it", TEST_COUNT(many));
    /* Prefill adds new SuperSlabs if the cache has few, and none while cached ones hold memory. */
    const size_t one = (size_t)1 << HAK_SUPERSLAB_SHIFT;
    hak_superslab_prefill(1);
    CHECK(hak_superslab_cache_bytes() == 15 * one, "%zu bytes: there were enough",
          hak_superslab_cache_bytes());
    hak_superslab_cache_release(hak_os_now_ms(), 0);
    hak_superslab_prefill(3);
    CHECK(hak_superslab_cache_bytes() == 3 * one, "%zu bytes: three were to come",
          hak_superslab_cache_bytes());
    struct hak_superslab *stocked = acquire(home);
    CHECK(stocked->dirty_mask == 0, "a new SuperSlab has dirty units");
    hak_superslab_cache_release(hak_os_now_ms(), 0);
    hak_superslab_prefill(100);
    CHECK(hak_superslab_cache_bytes() == 8 * one, "%zu bytes, more or less than it stocks",
          hak_superslab_cache_bytes());
    hak_superslab_cache_release(hak_os_now_ms(), 0);
    stocked->dirty_mask = 4;
    hak_superslab_retire(stocked);
    hak_superslab_prefill(1);
    CHECK(hak_superslab_cache_bytes() == one, "%zu bytes: one holds memory",
          hak_superslab_cache_bytes());
    CHECK(acquire(home) == stocked && stocked->dirty_mask == 4, "which unit is dirty is forgotten");
    /* A smaller SuperSlab serves if there is no other, and only if it holds memory. */
    struct hak_superslab *small = hak_superslab_acquire(home, HAK_SUPERSLAB_SHIFT_MIN, true);
    CHECK(small != NULL && hak_superslab_bytes(small) == one / 2, "no small SuperSlab");
    hak_superslab_retire(small);
    CHECK(acquire(home) != small, "a small one that holds nothing");
    CHECK(hak_superslab_acquire(home, HAK_SUPERSLAB_SHIFT_MIN, true) == small,
          "the small one has gone");
    small->dirty_mask = 1;
    hak_superslab_retire(small);
    CHECK(acquire(home) == small, "not the small one that holds memory");
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    return test_ok("SuperSlabs go back to who gave them up");
}
