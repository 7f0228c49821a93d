/* Threads with the smallest stack that pthreads allows use every tier and the slow paths: the
 * allocator needs little of its callers' stacks. */
#include "threads.h"

#include <limits.h>

static void *every_tier(void *argument) {
    static const size_t sizes[] = {10, 100, 1000, 3000, 8000, 20000, 50000, 100000, 2000000};
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        char *blocks[100];
        for (size_t k = 0; k < TEST_COUNT(blocks); k++) {
            blocks[k] = k % 3 == 0   ? calloc(1, sizes[i])
                        : k % 3 == 1 ? aligned_alloc(4096, sizes[i])
                                     : realloc(malloc(sizes[i]), 2 * sizes[i]);
            CHECK(blocks[k] != NULL, "no block of %zu bytes", sizes[i]);
            blocks[k][sizes[i] - 1] = 1;
        }
        for (size_t k = 0; k < TEST_COUNT(blocks); k++)
            free(blocks[k]);
    }
    malloc_trim(0);
    return argument;
}

int main(void) {
    test_needs_hakmem();
    pthread_attr_t smallest;
    pthread_attr_init(&smallest);
    CHECK(pthread_attr_setstacksize(&smallest, (size_t)PTHREAD_STACK_MIN) == 0,
          "stack of %zu bytes", (size_t)PTHREAD_STACK_MIN);
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, &smallest, every_tier, NULL) == 0, "thread %d", i);
        thread_join(thread);
    }
    return test_ok("20 threads with stacks of %zu bytes", (size_t)PTHREAD_STACK_MIN);
}
