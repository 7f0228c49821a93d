/* A thread that only frees does not hoard. Many gigabytes pass from a thread that allocates to a
 * thread that frees, tier by tier, and resident memory stays near the bytes that are live at a
 * time. */
#include "threads.h"

static struct ring ring;
static size_t block_size, block_count;

static void *consume(void *argument) {
    for (size_t i = 0; i < block_count; i++) {
        unsigned char *block = ring_take(&ring);
        CHECK(block[0] == (unsigned char)i && block[block_size - 1] == (unsigned char)~i,
              "block %zu of %zu bytes", i, block_size);
        free(block);
    }
    return argument;
}

static void pass(size_t size, size_t bytes, size_t limit) {
    block_size = size;
    block_count = bytes / size;
    pthread_t consumer = thread_start(consume, NULL);
    size_t highest = 0;
    for (size_t i = 0; i < block_count; i++) {
        unsigned char *block = malloc(size);
        CHECK(block != NULL, "malloc(%zu)", size);
        block[0] = (unsigned char)i;
        memset(block + 1, 0x11, size - 2);
        block[size - 1] = (unsigned char)~i;
        ring_put(&ring, block);
        if (i % (block_count / 64) == 0) {
            size_t resident = process_resident();
            if (resident > highest) highest = resident;
        }
    }
    thread_join(consumer);
    CHECK(highest < limit, "%zu-byte blocks: resident memory rises to %zu MiB", size,
          highest / MIB);
}

int main(void) {
    test_needs_hakmem();
    static const size_t sizes[] = {16,   64,    200,   1000,  2000,  4000,
                                   8000, 20000, 50000, 60000, 300000};
    size_t bytes = (test_quick() ? 128 : 1024) * MIB, before = process_resident();
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        size_t alive = RING_SLOTS * sizes[i];
        pass(sizes[i], sizes[i] < 100 ? bytes / 4 : bytes, before + 2 * alive + 64 * MIB);
        malloc_trim(0);
    }
    return test_ok("%zu MiB of each size passed through", bytes / MIB);
}
