/* The first call of a thread to the allocator is free of another thread's block, free(NULL),
 * malloc_usable_size or realloc. */
#include "threads.h"

static const size_t sizes[] = {20, 100, 1000, 3000, 8000, 20000, 50000, 60000, 400000};

static void *free_first(void *argument) {
    free(argument);
    return NULL;
}

static void *free_null_first(void *argument) {
    free(NULL);
    free(argument);
    return NULL;
}

static void *measure_first(void *argument) {
    CHECK(malloc_usable_size(argument) >= 20, "%zu bytes usable", malloc_usable_size(argument));
    free(argument);
    return NULL;
}

static void *resize_first(void *argument) {
    struct letter *letter = argument;
    letter_free(letter_resize(letter, 2 * letter->size));
    return NULL;
}

int main(void) {
    test_needs_hakmem();
    static void *(*const acts[])(void *) = {free_first, free_null_first, measure_first,
                                            resize_first};
    size_t rounds = test_quick() ? 20 : 200, before = process_live_bytes();
    for (size_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < TEST_COUNT(sizes); i++)
            for (size_t act = 0; act < TEST_COUNT(acts); act++)
                thread_run(acts[act], letter_new(sizes[i], round));
    size_t after = process_live_bytes();
    CHECK(after < before + MIB / 4, "live bytes grow from %zu to %zu", before, after);
    return test_ok("%zu threads", rounds * TEST_COUNT(sizes) * TEST_COUNT(acts));
}
