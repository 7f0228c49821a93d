/* A second opinion on the audit: breaks one thing by hand, then does what a program does until the audit has looked.
 * The audit must end the program with exactly the report that the bats file demands.
 *
 * usage: break_by_hand_internal KIND */
#define TEST_LINKED
#include "verify/tests/test.h"

#include <pthread.h>

#include "core/heap.h"
#include "core/refill.h"
#include "verify/hooks.h"

#define BLOCKS 3000
#define SIZE   40

static void *blocks[BLOCKS];

static struct hak_slab *slab_of(void *block) {
    return hak_slab_find(block);
}
static unsigned bin_of(void *block) {
    return slab_of(block)->bin;
}
static struct hak_block **list_head(void) {
    return &hak_heap_tls->heads[HAK_BIN_HEADER(bin_of(blocks[0]))];
}
/* The length that the heap believes in. */
static void list_count_add(int change) {
    hak_heap_tls->room[HAK_BIN_HEADER(bin_of(blocks[0]))] -= (uint32_t)change;
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

/* Allocates enough that refills happen, frees all so that flushes happen. */
static void go_on(void) {
    static void *more[8000];
    for (size_t i = 0; i < 8000; i++)
        more[i] = hak_malloc(SIZE);
    for (size_t i = 0; i < 8000; i++)
        hak_free(more[i]);
    release(0, BLOCKS);
    hak_malloc_trim(0);
}

static void *free_elsewhere(void *unused) {
    (void)unused;
    release(0, BLOCKS);
    return NULL; /* the thread's end sends them home */
}

static void in_another_thread(void) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, free_elsewhere, NULL) == 0 && pthread_join(thread, NULL) == 0,
          "thread");
    hak_malloc_trim(0);
}

static void used_too_low(void) {
    slab_of(blocks[0])->used--;
}
static void used_too_high(void) {
    slab_of(blocks[0])->used++;
}
static void carved_too_high(void) {
    slab_of(blocks[BLOCKS - 1])->carved++;
}
static void active_too_low(void) {
    hak_superslab_of(slab_of(blocks[0]))->active--;
}
static void count_too_low(void) {
    list_count_add(-1);
}
static void count_too_high(void) {
    list_count_add(1);
}

static void list_loses_block(void) {
    *list_head() = (*list_head())->next;
}

static void list_holds_block_twice(void) {
    (*list_head())->next->next = *list_head(); /* a circle: no end within its count */
}

static void list_holds_other_class(void) {
    struct hak_block *other = hak_malloc(200);
    hak_header_set(other, HAK_BIN_HEADER_FREE(bin_of(blocks[0])));
    other->next = (*list_head())->next;
    (*list_head())->next = other;
    list_count_add(1);
}

static void header_in_freelist(void) {
    release(0, BLOCKS);
    hak_flush(hak_heap_tls, bin_of(blocks[1]), 0);
    allocate(0, 1);
    struct hak_block *third = *list_head();
    hak_header_set(third->next, 0x11);
    hak_flush_all(hak_heap_tls);
}

static void freelist_loses_block(void) {
    struct hak_slab *slab = slab_of(blocks[BLOCKS / 2]);
    for (size_t i = 0; i < BLOCKS / 2; i++) /* some blocks of the slab stay live, so it stays too */
        hak_free(blocks[i]);
    hak_flush(hak_heap_tls, bin_of(blocks[BLOCKS / 2]), 0);
    CHECK(slab->freelist != NULL && slab->freelist->next != NULL, "nothing to lose");
    slab->freelist = slab->freelist->next;
    allocate(0, BLOCKS / 2);
}

static void write_behind(void) {
    ((char *)blocks[5])[SIZE] = 1;
}

static void write_after_free(void) {
    hak_free(blocks[5]);
    ((char *)blocks[5])[SIZE - 10] = 1;
    blocks[5] = hak_malloc(SIZE);
}

/* The header says live again, so that the release's check is blind: the block's state is not. */
static void free_twice_with_forged_header(void) {
    hak_free(blocks[5]);
    hak_header_set(blocks[5], HAK_BIN_HEADER(bin_of(blocks[5])));
}

static void carve_again(void) {
    struct hak_slab *slab = slab_of(blocks[BLOCKS - 1]);
    struct hak_block *head;
    slab->carved--;
    slab->used--;
    hak_superslab_of(slab)->active--;
    uint32_t count = hak_slab_carve(slab, 1, &head);
    hak_hook_batch(HAK_BATCH_CARVE, slab, head, count);
}

static const struct {
    const char *name;
    void (*break_it)(void);
    void (*then)(void);
} kinds[] = {
    {"nothing", NULL, go_on},
    {"nothing_elsewhere", NULL, in_another_thread},
    {"used_too_low", used_too_low, go_on},
    {"used_too_high", used_too_high, go_on},
    {"used_too_low_remote", used_too_low, in_another_thread},
    {"carved_too_high", carved_too_high, go_on},
    {"active_too_low", active_too_low, go_on},
    {"count_too_low", count_too_low, go_on},
    {"count_too_high", count_too_high, go_on},
    {"list_loses_block", list_loses_block, go_on},
    {"list_holds_block_twice", list_holds_block_twice, go_on},
    {"list_holds_other_class", list_holds_other_class, go_on},
    {"header_in_freelist", header_in_freelist, go_on},
    {"freelist_loses_block", freelist_loses_block, go_on},
    {"carve_again", carve_again, go_on},
    {"write_behind", write_behind, go_on},
    {"write_after_free", write_after_free, go_on},
    {"free_twice_with_forged_header", free_twice_with_forged_header, go_on},
};

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: break_by_hand_internal KIND");
    for (size_t i = 0; i < TEST_COUNT(kinds); i++) {
        if (strcmp(kinds[i].name, argv[1]) != 0) continue;
        allocate(0, BLOCKS);
        if (kinds[i].break_it != NULL) kinds[i].break_it();
        kinds[i].then();
        return test_ok("nothing was found");
    }
    CHECK(false, "no kind %s", argv[1]);
}
