#include "verify/explore/scenarios.h"

#include <string.h>

#include "core/hakmem.h"
#include "core/refill.h"
#include "verify/audit.h"
#include "verify/heap_check.h"

#define THREAD_HEAP (struct hak_heap *)(uintptr_t) /* what a thread's pointer may show, without const */

/* ---- blocks that a scenario holds -------------------------------------------------------------------------- */

#define BLOCKS 32u
#define ENDS   32u /* bytes at either end of a block that are filled and proved */

/* A slab of the largest class of the pool has four blocks, one of the largest of the mid tier nine. */
#define POOL_BIN   HAK_BIN_OF(POOL, 15)
#define POOL_SIZE  ((size_t)53000)
#define MID_BIN    HAK_BIN_OF(MID, 15)
#define MID_SIZE   ((size_t)7000)
#define LARGE_SIZE ((size_t)100000)

static struct {
    unsigned char *start;
    size_t size;
} blocks[BLOCKS];

static size_t ends_of(size_t size) {
    return size < 2 * ENDS ? size / 2 : ENDS;
}

static void take(unsigned slot, size_t size) {
    unsigned char *start = hak_malloc(size);
    EXPLORE_CHECK(start != NULL, "no memory for block %u", slot);
    EXPLORE_CHECK(blocks[slot].start == NULL, "block %u is there already", slot);
    memset(start, (int)slot + 1, ends_of(size));
    memset(start + size - ends_of(size), (int)slot + 1, ends_of(size));
    blocks[slot].start = start;
    blocks[slot].size = size;
}

/* Takes what a block was filled with for granted no more. */
static void prove(unsigned slot) {
    const unsigned char *start = blocks[slot].start;
    size_t size = blocks[slot].size, ends = ends_of(size);
    for (size_t i = 0; i < ends; i++)
        EXPLORE_CHECK(start[i] == slot + 1 && start[size - 1 - i] == slot + 1, "block %u was overwritten",
                      slot);
}

static void give(unsigned slot) {
    prove(slot);
    void *start = blocks[slot].start;
    blocks[slot].start = NULL;
    hak_free(start);
}

static void give_all(void) {
    for (unsigned slot = 0; slot < BLOCKS; slot++)
        if (blocks[slot].start != NULL) give(slot);
}

/* ---- threads ----------------------------------------------------------------------------------------------- */

/* The first `count` threads have heaps of their own from here on. */
static void threads_have_heaps(unsigned count) {
    for (unsigned thread = 1; thread < count; thread++) {
        fuzz_thread_switch(thread);
        hak_free(hak_malloc(1));
    }
    fuzz_thread_switch(0);
}

static void flush(unsigned bin) {
    hak_flush(hak_heap_tls, bin, 0);
}

/* ---- two threads free into one slab while its owner collects ----------------------------------------------- */

static void slab_begin(void) {
    threads_have_heaps(3);
    for (unsigned slot = 0; slot < 4; slot++)
        take(slot, POOL_SIZE);
}

static void free_first_two(void) {
    give(0);
    flush(POOL_BIN);
    give(1);
    flush(POOL_BIN);
}

static void free_last_two(void) {
    give(2);
    give(3);
    flush(POOL_BIN);
}

static void collect(void) {
    hak_collect(hak_heap_tls);
    take(8, POOL_SIZE);
}

/* ---- a push, a notification and a collect at once ---------------------------------------------------------- */

static void free_one(void) {
    give(0);
    flush(POOL_BIN);
}

static void collect_twice(void) {
    hak_collect(hak_heap_tls);
    hak_collect(hak_heap_tls);
}

const struct explore_scenario explore_scenarios[] = {
    {.name = "free-free-collect",
     .text = "two threads free into one slab while its owner collects",
     .begin = slab_begin,
     .bodies = {collect, free_first_two, free_last_two}},
    {.name = "notify-collect",
     .text = "a notification races with collects",
     .begin = slab_begin,
     .bodies = {collect_twice, free_one, free_last_two}},
};
const size_t explore_scenario_count = sizeof explore_scenarios / sizeof explore_scenarios[0];

const struct explore_scenario *explore_scenario_find(const char *name) {
    for (size_t i = 0; i < explore_scenario_count; i++)
        if (strcmp(explore_scenarios[i].name, name) == 0) return &explore_scenarios[i];
    return NULL;
}

/* ---- a run ------------------------------------------------------------------------------------------------- */

/* Every second free of a class flushes, and a refill carves one block. */
static const struct hak_policy *tiny_policy(void) {
    static struct hak_policy policy;
    if (policy.bins[0].cap_max != 0) return &policy;
    policy = *hak_policy();
    for (unsigned bin = 0; bin < HAK_BINS; bin++)
        policy.bins[bin] =
            (struct hak_bin_policy){.cap_min = 2, .cap_max = 2, .batch_min = 1, .batch_max = 1};
    return &policy;
}

void explore_scenario_run(const struct explore_scenario *scenario, const struct explore_strategy *strategy) {
    struct hak_heap_check check;
    fuzz_state_init();
    hak_audit_options.level = 1;
    hak_policy_replace(tiny_policy());
    hak_flush_all(hak_heap_tls); /* its caps and batches are the policy's now */
    if (scenario->begin != NULL) scenario->begin();
    explore_run(scenario->bodies, strategy);
    EXPLORE_CHECK(hak_check_heap(&check), "%zu equations do not hold when all threads are done",
                  check.faults);
    if (scenario->end != NULL) scenario->end();
    give_all();
    fuzz_state_end(false);
}
