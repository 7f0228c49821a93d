/* Blocks that are used again after they were freed. */
#include "faults.h"

#include <pthread.h>

static void *free_it(void *block) {
    free(block);
    return NULL;
}

static void *take_it(void *unused) {
    (void)unused;
    return take();
}

static void *in_thread(void *(*body)(void *), void *argument) {
    pthread_t thread;
    void *result;
    CHECK(pthread_create(&thread, NULL, body, argument) == 0, "no thread");
    pthread_join(thread, &result);
    return result;
}

static void double_free(void) {
    free(about(freed()));
}

static void double_free_later(void) {
    char *block = take(), *others[50];
    for (size_t i = 0; i < TEST_COUNT(others); i++)
        others[i] = take();
    free(block);
    for (size_t i = 0; i < TEST_COUNT(others); i++)
        free(others[i]);
    free(about(block));
}

static void double_free_by_thread(void) {
    in_thread(free_it, about(freed()));
}

static void double_free_after_thread(void) {
    char *block = take();
    in_thread(free_it, block);
    free(about(block));
}

static void double_free_of_ended_thread(void) {
    char *block = in_thread(take_it, NULL);
    free(block);
    free(about(block));
}

static void *free_even(void *blocks) {
    for (size_t i = 0; i < 2000; i += 2)
        free(((char **)blocks)[i]);
    return NULL;
}

/* The block has gone from the thread that freed it back to its slab. */
static void double_free_of_flushed(void) {
    static char *blocks[2000];
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        blocks[i] = take();
    in_thread(free_even, blocks);
    free(about(blocks[1000]));
}

static void double_free_after_trim(void) {
    char *block = freed();
    malloc_trim(0);
    free(about(block));
}

/* The block lay between live ones, on a page whose memory went back. */
static void double_free_between_live_blocks(void) {
    static char *blocks[200];
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        blocks[i] = take();
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        if (i >= 105 && i < 190) free(blocks[i]);
    malloc_trim(0);
    free(about(blocks[110]));
}

static void realloc_freed(void) {
    CHECK(realloc(about(freed()), test_opaque(10)) == NULL, "a freed block was resized");
}

static void usable_size_freed(void) {
    CHECK(malloc_usable_size(about(freed())) == 0, "a freed block was measured");
}

static void free_sized_freed(void) {
    free_sized(about(freed()), target->size);
}

static const struct kind kinds[] = {
    KIND(double_free),
    KIND(double_free_later),
    KIND(double_free_by_thread),
    KIND(double_free_after_thread),
    KIND(double_free_of_ended_thread),
    KIND(double_free_of_flushed),
    KIND(double_free_after_trim),
    KIND(double_free_between_live_blocks),
    KIND(realloc_freed),
    KIND(usable_size_freed),
    KIND(free_sized_freed),
};

int main(int count, char **arguments) {
    return commit(kinds, TEST_COUNT(kinds), count, arguments);
}
