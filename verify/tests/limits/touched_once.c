/* After mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, -1), memory that was written once is
 * never given back, and serves blocks of every size without a page fault. Programs with deadlines
 * begin so. With one of the two calls alone, or when one is set back, memory goes back as usual.
 *
 * usage: touched_once CASE */
#include "../process.h"

#include <pthread.h>

#define TOUCHED (64 * MIB)
/* Bytes in use at once afterwards. Less than TOUCHED, because blocks are rounded up, and a slab has
 * blocks of one size only. */
#define USED (48 * MIB)

/* The most page faults of a case. 64 MiB are 1024 granules, whose page map entries fill 16 pages.
 * Some more faults are for records of SuperSlabs, a new heap (a page or two), the last granule of
 * blocks that end elsewhere than earlier blocks, and the test itself. The contents would cost
 * 12288. */
#define FEW 64

#define MOST 200000
static char **blocks;
static size_t count;

static void keep_memory(void) {
    CHECK(mallopt(M_TRIM_THRESHOLD, -1) == 1, "M_TRIM_THRESHOLD of -1 is refused");
    CHECK(mallopt(M_MMAP_MAX, 0) == 1, "M_MMAP_MAX of 0 is refused");
}

static void *written(size_t size) {
    void *block = malloc(size);
    CHECK(block != NULL, "no block of %zu bytes", size);
    memset(block, 1, size);
    return test_opaque_pointer(block);
}

static void touch(size_t bytes) {
    free(written(bytes));
}

static void take(size_t bytes, size_t least, size_t most, uint64_t seed) {
    for (size_t taken = 0; taken < bytes;) {
        size_t size = least + test_random_below(&seed, most - least + 1);
        CHECK(count < MOST, "too many blocks");
        blocks[count++] = written(size);
        taken += size;
    }
}

static void give_all(void) {
    while (count > 0)
        free(blocks[--count]);
}

/* Uses half of USED in blocks of 16 to 52 KiB and half in larger ones; then all in small blocks;
 * then all in one block. */
static void use(void) {
    take(USED / 2, 16 << 10, 52 << 10, 1);
    take(USED / 2, 60000, MIB, 2);
    give_all();
    take(USED, 16, 7000, 3);
    give_all();
    touch(USED);
}

static void *use_in_thread(void *unused) {
    use();
    return unused;
}

static void few_faults(const char *what, size_t before, size_t most) {
    size_t now = process_minor_faults();
    CHECK(now - before <= most, "%s: %zu page faults, at most %zu", what, now - before, most);
}

static void case_one_thread(void) {
    keep_memory();
    touch(TOUCHED);
    size_t before = process_minor_faults();
    use();
    few_faults("use", before, FEW);
    before = process_minor_faults();
    use();
    few_faults("the same again", before, 0);
}

static void case_other_order(void) {
    CHECK(mallopt(M_MMAP_MAX, 0) == 1 && mallopt(M_TRIM_THRESHOLD, -1) == 1, "refused");
    touch(TOUCHED);
    size_t before = process_minor_faults();
    use();
    few_faults("use", before, FEW);
}

static void run_thread(void) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, use_in_thread, NULL) == 0, "no thread");
    pthread_join(thread, NULL);
}

static void case_second_thread(void) {
    keep_memory();
    run_thread(); /* memory for the thread's stack, and what libc keeps for threads */
    touch(TOUCHED);
    size_t before = process_minor_faults();
    run_thread();
    few_faults("another thread", before, FEW);
    before = process_minor_faults();
    run_thread();
    few_faults("and a third one", before, FEW);
}

static void wait_for_delay(void) {
    for (int tenth = 0; tenth < 15; tenth++) {
        usleep(100000);
        process_work_a_little();
    }
}

static void case_after_the_delay(void) {
    keep_memory();
    touch(TOUCHED);
    use();
    wait_for_delay();
    size_t before = process_minor_faults();
    wait_for_delay();
    use();
    few_faults("after three purge delays", before, FEW);
}

#define SLOTS 400
static void churn(uint64_t *random, size_t turns) {
    static char *slots[SLOTS];
    static size_t sizes[SLOTS];
    for (size_t turn = 0; turn < turns; turn++) {
        size_t i = test_random_below(random, SLOTS);
        size_t most = (size_t)16 << test_random_below(random, 15);
        size_t size = 1 + test_random_below(random, most);
        CHECK(slots[i] == NULL || slots[i][sizes[i] - 1] == 1, "block %zu", i);
        slots[i] = turn % 3 == 0 ? realloc(slots[i], size) : (free(slots[i]), malloc(size));
        CHECK(slots[i] != NULL, "no block of %zu bytes", size);
        memset(slots[i], 1, size);
        sizes[i] = size;
    }
}

static void case_churn(void) {
    uint64_t random = 1;
    keep_memory();
    touch(TOUCHED);
    churn(&random, 30000);
    size_t before = process_minor_faults();
    churn(&random, 100000);
    few_faults("churn", before, FEW);
}

/* Memory that waits in caches of all kinds when mallopt is called is kept, too. */
static void case_set_late(void) {
    take(TOUCHED / 2, 16, 52 << 10, 1);
    take(TOUCHED / 2, 60000, MIB, 2);
    give_all();
    keep_memory();
    size_t before = process_minor_faults();
    use();
    /* 64 more faults: the waiting blocks had not used all pages of their last granules. */
    few_faults("use", before, FEW + 64);
}

static void case_set_with_live_blocks(void) {
    char *live = written(TOUCHED);
    keep_memory();
    free(live);
    size_t before = process_minor_faults();
    use();
    few_faults("use", before, FEW);
}

/* A block whose pages the kernel moved is a kernel mapping of its own. */
static void case_moved_block(void) {
    char *moved = written(TOUCHED / 2), *behind = written(MIB);
    moved = realloc(moved, TOUCHED);
    CHECK(moved != NULL, "no memory");
    memset(moved, 1, TOUCHED);
    keep_memory();
    free(moved);
    size_t before = process_minor_faults();
    use();
    few_faults("use", before, FEW);
    free(behind);
}

static void case_realloc(void) {
    keep_memory();
    touch(TOUCHED);
    char *block = NULL, *behind = malloc(100000);
    size_t before = process_minor_faults();
    for (int round = 0; round < 3; round++) {
        for (size_t size = 50000; size < TOUCHED / 3; size += size / 2) {
            block = realloc(block, size);
            CHECK(block != NULL, "no memory");
            memset(block, 1, size);
        }
        for (size_t size = TOUCHED / 3; size > 20000; size /= 3)
            block = realloc(block, size);
    }
    free(block);
    use();
    few_faults("realloc", before, FEW);
    free(behind);
}

/* A request that fails does not make kept memory go back either. */
static void case_refused(void) {
    keep_memory();
    touch(TOUCHED);
    size_t before = process_minor_faults();
    CHECK(malloc(test_opaque((size_t)1 << 46)) == NULL, "64 TiB");
    use();
    few_faults("use", before, FEW);
}

static void case_zero(void) {
    keep_memory();
    touch(TOUCHED);
    for (size_t size = 1; size < TOUCHED / 2; size += size * 3 / 4 + 1) {
        char *block = calloc(1, size);
        CHECK(block != NULL, "no block of %zu bytes", size);
        for (size_t i = 0; i < size; i++)
            CHECK(block[i] == 0, "byte %zu of %zu is %d", i, size, block[i]);
        memset(block, 1, size);
        free(block);
    }
}

/* As with glibc, malloc_trim gives memory back even so. */
static void case_trim(void) {
    keep_memory();
    touch(TOUCHED);
    size_t before = process_resident();
    CHECK(malloc_trim(0) == 1, "malloc_trim finds nothing");
    size_t after = process_resident();
    CHECK(after + TOUCHED - 4 * MIB < before, "resident %zu before malloc_trim(0), %zu after",
          before, after);
    CHECK(malloc_trim(0) == 0, "a second malloc_trim finds something");
    for (int i = 0; i < 8; i++) {
        usleep(100000);
        process_work_a_little();
    }
    CHECK(process_resident() < after + 8 * MIB, "resident %zu after malloc_trim(0), %zu later",
          after, process_resident());
    touch(TOUCHED);
    size_t faults = process_minor_faults();
    use();
    few_faults("use after a trim", faults, FEW);
}

static void goes_back(size_t limit) {
    size_t after = process_resident_falls_below(limit);
    CHECK(after < limit, "%zu bytes are resident, not below %zu", after, limit);
}

static void set_back(int parameter, int value) {
    size_t limit = process_resident() + 8 * MIB;
    keep_memory();
    touch(TOUCHED);
    use();
    CHECK(process_resident() > limit, "resident %zu", process_resident());
    CHECK(mallopt(parameter, value) == 1, "mallopt(%d, %d)", parameter, value);
    goes_back(limit);
    touch(TOUCHED);
    goes_back(limit);
    keep_memory();
    touch(TOUCHED);
    size_t before = process_minor_faults();
    use();
    few_faults("kept once more", before, FEW);
}

static void case_maps_again(void) {
    set_back(M_MMAP_MAX, 65536);
}

static void case_trims_again(void) {
    set_back(M_TRIM_THRESHOLD, 128 << 20);
}

static void one_alone(int parameter, int value) {
    size_t limit = process_resident() + 8 * MIB;
    CHECK(mallopt(parameter, value) == 1, "mallopt(%d, %d)", parameter, value);
    touch(TOUCHED);
    use();
    goes_back(limit);
}

static void case_maps_alone(void) {
    one_alone(M_MMAP_MAX, 0);
}

static void case_trim_threshold_alone(void) {
    one_alone(M_TRIM_THRESHOLD, -1);
}

/* Freed blocks of at least M_MMAP_THRESHOLD bytes go back at once; others wait. */
static void case_map_threshold(void) {
    CHECK(mallopt(M_MMAP_THRESHOLD, (int)MIB) == 1, "M_MMAP_THRESHOLD is refused");
    size_t before = process_resident();
    touch(TOUCHED);
    CHECK(process_resident() < before + 4 * MIB, "resident %zu before, %zu after", before,
          process_resident());
    touch(MIB - 5000);
    size_t faults = process_minor_faults();
    touch(MIB - 5000);
    few_faults("a block below the threshold", faults, 4);
    CHECK(mallopt(M_MMAP_THRESHOLD, -1) == 1, "M_MMAP_THRESHOLD of -1 is refused");
    touch(TOUCHED);
    CHECK(process_resident() > before + TOUCHED - 4 * MIB, "resident %zu before, %zu after", before,
          process_resident());
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"one-thread", case_one_thread},
    {"other-order", case_other_order},
    {"second-thread", case_second_thread},
    {"after-the-delay", case_after_the_delay},
    {"churn", case_churn},
    {"set-late", case_set_late},
    {"set-with-live-blocks", case_set_with_live_blocks},
    {"moved-block", case_moved_block},
    {"realloc", case_realloc},
    {"refused", case_refused},
    {"zero", case_zero},
    {"trim", case_trim},
    {"maps-again", case_maps_again},
    {"trims-again", case_trims_again},
    {"maps-alone", case_maps_alone},
    {"trim-threshold-alone", case_trim_threshold_alone},
    {"map-threshold", case_map_threshold},
};

int main(int argc, char **argv) {
    test_needs_hakmem();
    CHECK(argc == 2, "usage: touched_once CASE");
    blocks = process_map(MOST * sizeof *blocks);
    memset(blocks, 0, MOST * sizeof *blocks);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        if (strcmp(argv[1], cases[i].name) != 0) continue;
        cases[i].run();
        return test_ok("%s", cases[i].name);
    }
    CHECK(false, "no case %s", argv[1]);
}
