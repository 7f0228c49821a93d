/* Foreign mappings lie where the range would go on. They keep their contents, whatever is
 * allocated, freed and given back around them. The range goes on behind them. */
#define TEST_LINKED
#include "../threads/threads.h"

#include <sys/mman.h>
#include <sys/wait.h>

#include "core/spans.h"
#include "verify/heap_check.h"

enum { FOREIGN = 6, MORE = 2, LETTERS = 3000, ROUNDS = 3 };

static struct foreign {
    unsigned char *start;
    size_t bytes;
} foreign[FOREIGN + MORE];
static size_t foreign_count;
static struct letter *letters[LETTERS];

static bool is_foreign(const unsigned char *start, size_t bytes) {
    for (size_t i = 0; i < foreign_count; i++)
        if (start < foreign[i].start + foreign[i].bytes && foreign[i].start < start + bytes)
            return true;
    return false;
}

/* Maps foreign granules, `distance` granules behind the range's last committed one, or further on:
 * the range may have shrunk, so that a former foreign mapping lies there. */
static void map_foreign(uint32_t distance, uint32_t granules) {
    const size_t bytes = granules * HAK_GRANULE;
    unsigned char *wanted = hak_granule_address(hak_range_state().committed + distance);
    while (is_foreign(wanted, bytes))
        wanted += HAK_GRANULE;
    void *got = mmap(wanted, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(got == wanted, "no mapping at %p: errno %d", (void *)wanted, errno);
    memset(got, 0x5a, bytes);
    foreign[foreign_count++] = (struct foreign){.start = got, .bytes = bytes};
}

static void foreign_is_untouched(const char *when) {
    for (size_t i = 0; i < foreign_count; i++)
        for (size_t at = 0; at < foreign[i].bytes; at++)
            CHECK(foreign[i].start[at] == 0x5a, "%s: byte %zu of mapping %zu is %#x", when, at, i,
                  foreign[i].start[at]);
}

static void no_block_is_there(const struct letter *letter, size_t bytes) {
    for (size_t i = 0; i < foreign_count; i++)
        CHECK((const unsigned char *)letter + bytes <= foreign[i].start ||
                  (const unsigned char *)letter >= foreign[i].start + foreign[i].bytes,
              "a block of %zu bytes in mapping %zu", bytes, i);
}

static void use(uint64_t salt) {
    uint64_t random = salt;
    for (size_t i = 0; i < LETTERS; i++) {
        size_t size = letter_size(&random) * (i % 50 == 0 ? 100 : 1);
        letters[i] = letter_new(size, salt + i);
        no_block_is_there(letters[i], size);
    }
    foreign_is_untouched("allocated");
    for (size_t i = 0; i < LETTERS; i++)
        letter_free(letters[(i * 7) % LETTERS]);
    foreign_is_untouched("freed");
    hak_malloc_trim(0);
    foreign_is_untouched("trimmed");
}

/* The first block behind a foreign mapping can be freed before there is a second one. */
static void first_behind(size_t size) {
    static struct letter *before[LETTERS];
    size_t count = 0;
    map_foreign(0, 1);
    const unsigned char *border = foreign[foreign_count - 1].start;
    struct letter *letter = letter_new(size, 0);
    while ((const unsigned char *)letter < border) {
        CHECK(count < LETTERS, "no block of %zu bytes lies behind the mapping", size);
        before[count++] = letter;
        letter = letter_new(size, count);
    }
    no_block_is_there(letter, size);
    letter_free(letter);
    while (count > 0)
        letter_free(before[--count]);
    foreign_is_untouched("one by one");
}

/* A long mapping lies right behind the range's memory, as an emulator may put it there. No request
 * fails. */
static void long_one(void) {
    const size_t bytes = (size_t)5 << 30;
    void *wanted = hak_granule_address(hak_range_state().committed);
    void *got = mmap(wanted, bytes, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(got == wanted, "no mapping at %p: errno %d", wanted, errno);
    static struct letter *many[20000]; /* small blocks only */
    for (size_t i = 0; i < TEST_COUNT(many); i++)
        many[i] = letter_new(300, i);
    for (size_t i = 0; i < TEST_COUNT(many); i++)
        letter_free(many[i]);
    for (uint64_t round = 0; round < ROUNDS; round++)
        use(7000 + round);
}

static void in_a_child(void) {
    pid_t child = fork();
    CHECK(child >= 0, "fork: errno %d", errno);
    if (child == 0) {
        use(99);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0, "the child ends with status %#x",
          status);
}

int main(int argc, char **argv) {
    (void)argv;
    struct hak_heap_check check;
    hak_free(hak_malloc(test_opaque(1)));
    if (argc > 1) {
        long_one();
        return test_ok("%zu bytes of addresses given up", hak_range_lost());
    }
    /* Mappings in the first SuperSlab, which is not all committed; behind it; and where the range
     * goes on after that. */
    for (uint32_t i = 0; i < FOREIGN; i++) {
        map_foreign(i == 0 ? 0 : i * 5, i % 2 == 0 ? 1 : 7);
        for (uint64_t round = 0; round < ROUNDS; round++)
            use(1000 * i + round);
        CHECK(hak_check_heap(&check), "%zu equations do not hold", check.faults);
    }
    first_behind(60000);
    first_behind(120000);
    in_a_child();
    return test_ok("%zu mappings, %zu bytes of addresses given up", foreign_count,
                   hak_range_lost());
}
