/* A short test of all tiers: blocks are taken, checked, resized and freed, by this thread and by
 * another. It is cheap enough to run under tools that slow a program down a hundred times. */
#include "../pattern.h"

#include <pthread.h>

static const size_t sizes[] = {1,    24,    100,   500,   1023,  1024,  3000,
                               8000, 10000, 30000, 52000, 60000, 300000};
enum { SIZES = TEST_COUNT(sizes), COPIES = 5 };

static unsigned char *blocks[SIZES][COPIES];

static void take(void) {
    for (size_t i = 0; i < SIZES; i++)
        for (size_t k = 0; k < COPIES; k++) {
            blocks[i][k] = k % 2 == 0 ? malloc(sizes[i]) : calloc(1, sizes[i]);
            CHECK(blocks[i][k] != NULL, "no block of %zu bytes", sizes[i]);
            CHECK(k % 2 == 0 || blocks[i][k][sizes[i] - 1] == 0, "calloc of %zu bytes is dirty",
                  sizes[i]);
            pattern_fill(blocks[i][k], sizes[i], i + k);
        }
}

static void *release(void *argument) {
    for (size_t i = 0; i < SIZES; i++)
        for (size_t k = 0; k < COPIES; k++) {
            PATTERN_CHECK(blocks[i][k], sizes[i], i + k);
            free(blocks[i][k]);
        }
    return argument;
}

static void resize(void) {
    for (size_t i = 0; i < SIZES; i++) {
        unsigned char *block = malloc(sizes[i]);
        pattern_fill(block, sizes[i], i);
        block = realloc(block, 2 * sizes[i]);
        PATTERN_CHECK(block, sizes[i], i);
        block = realloc(block, sizes[i] / 2 + 1);
        PATTERN_CHECK(block, sizes[i] / 2 + 1, i);
        free(block);
        void *aligned = aligned_alloc(256, sizes[i]);
        CHECK((uintptr_t)aligned % 256 == 0, "aligned_alloc(256, %zu) gives %p", sizes[i], aligned);
        free(aligned);
    }
}

int main(void) {
    test_needs_hakmem();
    for (int round = 0; round < 4; round++) {
        take();
        resize();
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, release, NULL) == 0, "no thread in round %d", round);
        pthread_join(thread, NULL);
        take();
        release(NULL);
        malloc_trim(0);
    }
    return test_ok("every tier");
}
