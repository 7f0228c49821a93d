/* Where memory is scarce, freed memory is unmapped and becomes a hole. A hole counts for no limit,
 * reads as zero when it is mapped again, and is given up if somebody else has a mapping in it.
 * Whatever call the system refuses meanwhile, no addresses are forgotten. */
#define TEST_LINKED
#include "../process.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/range_child.h"
#include "verify/heap_check.h"
#include "verify/os_faults.h"

enum { BLOCKS = 6, HOLES_MAX = 1024 }; /* HOLES_MAX as in core/span_free.c */
/* So few bytes that the range does not look at the limits. */
static const size_t bytes = (size_t)500 << 10;
static unsigned char *blocks[BLOCKS];

static void expect_sound(const char *when) {
    struct hak_heap_check check;
    CHECK(hak_check_heap(&check), "%s: %zu equations do not hold", when, check.faults);
}

static void memory_is_scarce(bool is) {
    atomic_store(&hak_range.cached_most, is ? 0 : SIZE_MAX);
}

/* Leaves unused committed memory behind the top. */
static void make_room(void) {
    memory_is_scarce(false);
    hak_free(hak_malloc(test_opaque(4 * bytes)));
    hak_malloc_trim(0);
    memory_is_scarce(true);
    CHECK(hak_range_state().committed > hak_range_top(), "no memory behind the top");
}

static void block_new(size_t i) {
    blocks[i] = hak_calloc(1, bytes);
    CHECK(blocks[i] != NULL, "block %zu of %zu bytes", i, bytes);
    for (size_t at = 0; at < bytes; at++)
        CHECK(blocks[i][at] == 0, "byte %zu of block %zu is %#x", at, i, blocks[i][at]);
    memset(blocks[i], (int)i + 1, bytes);
}

static void blocks_are_untouched(const char *when) {
    for (size_t i = 0; i < BLOCKS; i++)
        for (size_t at = 0; blocks[i] != NULL && at < bytes; at++)
            CHECK(blocks[i][at] == i + 1, "%s: byte %zu of block %zu is %#x", when, at, i,
                  blocks[i][at]);
}

static unsigned char *block_end(size_t i) {
    unsigned char *block = blocks[i];
    hak_free(block);
    blocks[i] = NULL;
    return block;
}

static void freed_is_unmapped(void) {
    size_t before = hak_range_committed();
    const unsigned char *freed = block_end(2);
    const size_t page = hak_os_page_size();
    const unsigned char *whole = (const unsigned char *)hak_round_up((uintptr_t)freed, page);
    for (size_t at = 0; at < bytes - page; at += page)
        CHECK(!hak_os_is_mapped(whole + at, 1), "byte %zu is mapped", at);
    CHECK(hak_range_committed() + bytes <= before, "%zu bytes before, %zu now", before,
          hak_range_committed());
    expect_sound("freed");
    block_new(2);
    blocks_are_untouched("filled");
    CHECK(hak_range_committed() <= before, "%zu bytes before, %zu now", before,
          hak_range_committed());
    expect_sound("filled");
}

/* A span that is too short for a hole stays mapped, and is not joined with the hole behind it. */
static void short_spans_stay(void) {
    const size_t short_bytes = 2 * HAK_GRANULE - 2 * HAK_ALIGNMENT, both = bytes + short_bytes;
    char *shorter = hak_malloc(short_bytes), *longer = hak_malloc(bytes), *last = hak_malloc(bytes);
    CHECK(shorter != NULL && longer == shorter + 2 * HAK_GRANULE && last != NULL,
          "blocks lie elsewhere");
    hak_free(longer);
    hak_free(shorter);
    expect_sound("beside a hole");
    char *block = hak_malloc(both);
    CHECK(block != NULL && hak_os_is_mapped((void *)((uintptr_t)block & ~(uintptr_t)4095), both),
          "no block of %zu bytes", both);
    memset(block, 1, both);
    hak_free(block);
    hak_free(last);
    expect_sound("beside a hole, used");
}

/* The tables say all that is known of a hole, so a child of fork whose range lock is lost can make
 * the lists anew. */
static void hole_stays_in_a_child(void) {
    block_end(2);
    pid_t child = fork();
    CHECK(child >= 0, "fork: errno %d", errno);
    if (child == 0) {
        hak_range_rebuild();
        expect_sound("in a child");
        size_t lost = hak_range_lost();
        block_new(2);
        blocks_are_untouched("in a child");
        expect_sound("in a child, filled");
        _exit(hak_range_lost() == lost ? 0 : 3);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0, "the child ends with status %#x",
          status);
    block_new(2);
}

static void hole_is_given_up(void) {
    size_t lost = hak_range_lost();
    unsigned char *freed = block_end(2);
    void *page = (void *)hak_round_up((uintptr_t)freed + HAK_GRANULE, hak_os_page_size());
    unsigned char *foreign = mmap(page, 100, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(foreign == page, "no mapping at %p: errno %d", page, errno);
    memset(foreign, 0x5a, 100);
    block_new(2);
    CHECK(hak_range_lost() > lost, "the hole is still in use");
    block_end(2);
    hak_malloc_trim(0);
    for (size_t at = 0; at < 100; at++)
        CHECK(foreign[at] == 0x5a, "byte %zu of somebody else's mapping is %#x", at, foreign[at]);
    blocks_are_untouched("around somebody else's mapping");
    expect_sound("given up");
    block_new(2);
}

/* The hole at the top leaves the range, and memory that is committed behind it is unmapped. Each
 * call in turn is refused. */
static void refused_at_the_top(void) {
    size_t lost = hak_range_lost(), calls = 0;
    for (size_t refused = 0; refused <= calls; refused++) {
        make_room();
        hak_os_faults_begin(refused, false);
        for (size_t i = BLOCKS; i > 0; i--)
            block_end(i - 1);
        calls = hak_os_faults_end();
        expect_sound("refused");
        for (size_t i = 0; i < BLOCKS; i++)
            block_new(i);
        blocks_are_untouched("after a call was refused");
        expect_sound("after a call was refused");
    }
    CHECK(calls > 0, "no call to the system");
    CHECK(hak_range_lost() == lost, "%zu bytes of addresses are given up", hak_range_lost() - lost);
}

/* There are at most HOLES_MAX holes, or a few more, because each costs the kernel a mapping. */
static void holes_are_few(void) {
    static void *many[HOLES_MAX + 400];
    const size_t before = process_mappings();
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < TEST_COUNT(many); i++) {
            memory_is_scarce(true); /* the range may have looked at the limits */
            if (many[i] == NULL) many[i] = hak_malloc(100000 + i % 2);
        }
        for (size_t i = (size_t)round; i < TEST_COUNT(many); i += 2) {
            memory_is_scarce(true);
            hak_free(many[i]);
            many[i] = NULL;
        }
        CHECK(process_mappings() <= before + HOLES_MAX + 100, "%zu mappings, %zu before",
              process_mappings(), before);
    }
    expect_sound("many holes");
    for (size_t i = 0; i < TEST_COUNT(many); i++)
        hak_free(many[i]);
    expect_sound("many holes, freed");
}

int main(void) {
    hak_free(hak_malloc(test_opaque(1)));
    memory_is_scarce(true);
    for (size_t i = 0; i < BLOCKS; i++)
        block_new(i);
    freed_is_unmapped();
    short_spans_stay();
    hole_stays_in_a_child();
    refused_at_the_top();
    holes_are_few();
    hole_is_given_up();
    return test_ok("%zu bytes of addresses are given up", hak_range_lost());
}
