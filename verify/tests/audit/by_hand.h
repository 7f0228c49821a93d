/* Programs that break one thing by hand, then do what a program does until a check has looked: a second opinion on the
 * checks. by_hand.txt has the line that each KIND must end with. */
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

/* The length that the heap believes in. */
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

/* Frees some blocks and puts what the bin holds back onto their slabs' freelists. */
TEST_UNUSED static void release_to_slabs(size_t from, size_t until) {
    unsigned bin = slab_of(blocks[from])->class;
    release(from, until);
    hak_flush(hak_thread_heap(), bin, 0);
}

/* Allocates enough that refills happen, frees all so that flushes happen. */
TEST_UNUSED static void go_on(void) {
    static void *more[8000];
    for (size_t i = 0; i < 8000; i++)
        more[i] = hak_malloc(SIZE);
    for (size_t i = 0; i < 8000; i++)
        hak_free(more[i]);
    release(0, BLOCKS);
    hak_malloc_trim(0);
}

/* Runs something in a thread of its own, until that has ended. */
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

/* main: breaks what the argument names, and looks. */
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
