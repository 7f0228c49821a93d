/* For programs that break one thing by hand, and then work as programs do until a check has run: a
 * second opinion on the checks. by_hand.txt has the report that each KIND must give. */
#ifndef HAK_VERIFY_BY_HAND_H
#define HAK_VERIFY_BY_HAND_H

#define TEST_LINKED
#include "verify/tests/test.h"

#include <pthread.h>

#include "core/flush.h"
#include "core/heap.h"

#define BLOCKS 3000
#define SIZE   40 /* tiny class 2: stride 48, 1365 blocks a slab */

static void *blocks[BLOCKS];

static struct hak_slab *slab_of(const void *block) {
    return hak_slab_find(block);
}

TEST_UNUSED static struct hak_block **list_head(void) {
    return &hak_thread_heap()->heads[HAK_CLASS_HEADER(slab_of(blocks[0])->class)];
}

/* Changes the count of the bin, but not its list. */
TEST_UNUSED static void list_count_add(int change) {
    hak_thread_heap()->free_capacity[HAK_CLASS_HEADER(slab_of(blocks[0])->class)] -=
        (uint32_t)change;
}

static void allocate(size_t from, size_t until) {
    for (size_t i = from; i < until; i++) {
        blocks[i] = hak_malloc(SIZE);
        CHECK(blocks[i] != NULL, "block %zu", i);
    }
}

static void release(size_t from, size_t until) {
    for (size_t i = from; i < until; i++)
        hak_free(blocks[i]);
}

/* Frees some blocks and flushes their bin, so that its blocks go onto the freelists of their
 * slabs. */
TEST_UNUSED static void release_to_slabs(size_t from, size_t until) {
    unsigned bin = slab_of(blocks[from])->class;
    release(from, until);
    hak_flush(hak_thread_heap(), bin, 0);
}

/* Allocates so much that bins are refilled, and frees all, so that bins are flushed. */
TEST_UNUSED static void go_on(void) {
    static void *more[8000];
    for (size_t i = 0; i < 8000; i++)
        more[i] = hak_malloc(SIZE);
    for (size_t i = 0; i < 8000; i++)
        hak_free(more[i]);
    release(0, BLOCKS);
    hak_malloc_trim(0);
}

/* Runs a function in a new thread, and waits for the end of the thread. */
TEST_UNUSED static void in_a_thread(void *(*run)(void *), void *argument) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run, argument) == 0 && pthread_join(thread, NULL) == 0,
          "thread");
}

struct kind {
    const char *name;
    void (*break_it)(void);
};

#define KIND(function)                                                                             \
    { #function, function }

/* For main: breaks what `name` says, then calls `look`. */
static int by_hand(const struct kind *kinds, size_t kind_count, void (*look)(void),
                   const char *name) {
    for (size_t i = 0; i < kind_count; i++) {
        if (strcmp(kinds[i].name, name) != 0) continue;
        kinds[i].break_it();
        look();
        return test_ok("nothing was found");
    }
    CHECK(false, "no kind %s", name);
}

#endif
