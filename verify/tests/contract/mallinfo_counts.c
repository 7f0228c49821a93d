/* mallinfo2 counts the bytes of live blocks: small blocks in uordblks, large blocks in hblkhd. The
 * sum rises when blocks of any tier are allocated, and falls to its old value when they are freed.
 * mallinfo gives the same figures as ints. */
#include "../process.h"

static const size_t sizes[] = {24, 64, 500, 1024, 3000, 8000, 10000, 50000, 60000, 300000, 2000000};

static void counts(size_t size) {
    enum { MOST = 1000 };
    static void *blocks[MOST];
    size_t count = size > 100000 ? 20 : size > 5000 ? 100 : MOST;
    size_t before = process_live_bytes();
    for (size_t i = 0; i < count; i++)
        blocks[i] = malloc(size);
    size_t during = process_live_bytes();
    CHECK(during >= before + count * size && during <= before + count * (2 * size + 4096),
          "%zu blocks of %zu bytes raise the live bytes from %zu to %zu", count, size, before,
          during);
    struct mallinfo2 info = mallinfo2();
    CHECK(info.arena >= info.uordblks + info.fordblks && info.fordblks + info.uordblks > 0,
          "arena %zu, uordblks %zu, fordblks %zu", info.arena, info.uordblks, info.fordblks);
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
    size_t after = process_live_bytes();
    CHECK(after == before, "after freeing blocks of %zu bytes %zu are live, not %zu", size, after,
          before);
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
    CHECK((size_t)narrow.uordblks == wide.uordblks, "uordblks %d and %zu", narrow.uordblks,
          wide.uordblks);
    CHECK((size_t)narrow.arena == wide.arena || wide.arena > INT32_MAX, "arena %d and %zu",
          narrow.arena, wide.arena);
    free(block);
    return test_ok("live bytes follow %zu sizes", TEST_COUNT(sizes));
}
