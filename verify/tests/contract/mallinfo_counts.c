/* mallinfo2().uordblks counts the bytes in live blocks: it rises with what is allocated, in every tier, and
 * falls with what is freed; mallinfo() tells the same figures as far as an int holds them. */
#include "../process.h"

static const size_t sizes[] = {24, 64, 500, 1024, 3000, 8000, 10000, 50000, 60000, 300000, 2000000};

static void counts(size_t size) {
    enum { MOST = 1000 };
    static void *blocks[MOST];
    size_t count = size > 100000 ? 20 : size > 5000 ? 100 : MOST;
    struct mallinfo2 before = mallinfo2();
    for (size_t i = 0; i < count; i++)
        blocks[i] = malloc(size);
    struct mallinfo2 during = mallinfo2();
    size_t rise = during.uordblks - before.uordblks;
    CHECK(during.uordblks > before.uordblks && rise >= count * size && rise <= count * (2 * size + 4096),
          "%zu blocks of %zu bytes raise uordblks from %zu to %zu", count, size, before.uordblks,
          during.uordblks);
    CHECK(during.arena + during.hblkhd >= during.uordblks, "arena %zu + hblkhd %zu < uordblks %zu",
          during.arena, during.hblkhd, during.uordblks);
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
    struct mallinfo2 after = mallinfo2();
    CHECK(after.uordblks == before.uordblks, "after freeing blocks of %zu bytes uordblks is %zu, not %zu",
          size, after.uordblks, before.uordblks);
}

int main(void) {
    test_needs_hakmem();
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        counts(sizes[i]);
    void *block = malloc(test_opaque(12345));
    struct mallinfo2 wide = mallinfo2();
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    struct mallinfo narrow = mallinfo();
#pragma GCC diagnostic pop
    CHECK((size_t)narrow.uordblks == wide.uordblks, "uordblks %d and %zu", narrow.uordblks, wide.uordblks);
    CHECK((size_t)narrow.arena == wide.arena || wide.arena > INT32_MAX, "arena %d and %zu", narrow.arena,
          wide.arena);
    free(block);
    return test_ok("uordblks follows %zu sizes", TEST_COUNT(sizes));
}
