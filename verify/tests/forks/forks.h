/* Processes that fork while threads allocate. Blocks of every tier lie on a shelf that all threads
 * share. The threads keep changing what lies there, and children must be able to use all of it. */
#ifndef HAK_VERIFY_FORKS_H
#define HAK_VERIFY_FORKS_H

#include "../threads/threads.h"

#include <malloc.h>
#include <signal.h>
#include <sys/wait.h>

/* Ends only a process that hangs: a test that takes so long has failed. */
enum { FORKS_SECONDS = 600, FORKS_CHILD_SECONDS = 300 };

enum { SHELF = 64, CROWD_MOST = 8 };

/* A thread that puts a letter here takes away the letter that was there, often of another thread,
 * and frees it. In a child each place has a whole letter, or none. */
static _Atomic(struct letter *) shelf[SHELF];
static _Atomic bool crowd_ends;
static _Atomic size_t crowd_rounds[CROWD_MOST];
static pthread_t crowd_threads[CROWD_MOST];
static size_t crowd_count;

/* A size of a tiny, mid, pool or large block, each tier equally often. */
TEST_UNUSED static size_t forks_size(uint64_t *seed) {
    switch (test_random_below(seed, 4)) {
    case 0:
        return 16 + test_random_below(seed, 1000);
    case 1:
        return 1024 + test_random_below(seed, 7000);
    case 2:
        return 8192 + test_random_below(seed, 45000);
    default:
        return 60000 + test_random_below(seed, test_random_below(seed, 16) == 0 ? 2000000 : 100000);
    }
}

/* Replaces letters on the shelf, `count` times. */
TEST_UNUSED static void shelf_change(uint64_t *seed, size_t count) {
    for (; count > 0; count--) {
        struct letter *letter = letter_new(forks_size(seed), *seed);
        letter = atomic_exchange(&shelf[test_random_below(seed, SHELF)], letter);
        if (letter != NULL) letter_free(letter);
    }
}

TEST_UNUSED static void shelf_clear(void) {
    for (size_t i = 0; i < SHELF; i++) {
        struct letter *letter = atomic_exchange(&shelf[i], NULL);
        if (letter != NULL) letter_free(letter);
    }
}

static void *crowd_work(void *number) {
    uint64_t seed = (uint64_t)(size_t)number + 1;
    while (!crowd_ends) {
        shelf_change(&seed, 20);
        crowd_rounds[(size_t)number]++;
    }
    return NULL;
}

/* Waits until every thread of the crowd has done something since the call. */
TEST_UNUSED static void crowd_goes_on(void) {
    for (size_t i = 0; i < crowd_count; i++) {
        size_t before = crowd_rounds[i];
        while (crowd_rounds[i] < before + 2)
            usleep(100);
    }
}

TEST_UNUSED static void crowd_begin_with(size_t count, void *(*body)(void *)) {
    CHECK(count <= CROWD_MOST, "%zu threads", count);
    crowd_ends = false;
    crowd_count = count;
    for (size_t i = 0; i < count; i++)
        crowd_threads[i] = thread_start(body, (void *)i);
    crowd_goes_on();
}

TEST_UNUSED static void crowd_begin(size_t count) {
    crowd_begin_with(count, crowd_work);
}

/* The threads trim all the time, so that the heap of some thread is seized nearly always. */
TEST_UNUSED static void *crowd_trim(void *index) {
    while (!crowd_ends) {
        free(malloc(100));
        malloc_trim(0);
        crowd_rounds[(size_t)index]++;
    }
    return NULL;
}

TEST_UNUSED static void crowd_end(void) {
    crowd_ends = true;
    for (size_t i = 0; i < crowd_count; i++)
        thread_join(crowd_threads[i]);
}

TEST_UNUSED static void forks_zeroed(size_t size) {
    char *block = (char *)calloc(1, size);
    CHECK(block != NULL, "calloc of %zu bytes", size);
    for (size_t i = 0; i < size; i++)
        CHECK(block[i] == 0, "byte %zu of a new block of %zu is %d", i, size, block[i]);
    free(block);
}

/* In a child: frees the parent's blocks, allocates as much again, and gives all back. */
TEST_UNUSED static void child_uses_all(uint64_t seed) {
    alarm(FORKS_CHILD_SECONDS);
    shelf_clear();
    shelf_change(&seed, SHELF);
    for (size_t size = 100; size < 100000; size *= 5)
        forks_zeroed(size);
    shelf_clear();
    malloc_trim(0);
}

static void *child_thread_work(void *number) {
    uint64_t seed = (uint64_t)(size_t)number + 100;
    shelf_change(&seed, 20);
    return NULL;
}

/* In a child: threads of the child use the shelf, too. */
TEST_UNUSED static void child_threads_use_all(void) {
    pthread_t threads[3];
    for (size_t i = 0; i < TEST_COUNT(threads); i++)
        threads[i] = thread_start(child_thread_work, (void *)i);
    child_thread_work((void *)TEST_COUNT(threads));
    for (size_t i = 0; i < TEST_COUNT(threads); i++)
        thread_join(threads[i]);
    shelf_clear();
}

/* Waits for the child, which must end with status 0. A signal handler may call this, too. */
TEST_UNUSED static void child_ended_well(pid_t child, const char *what, size_t number) {
    int status = 0;
    CHECK(child > 0, "%s, fork %zu: errno %d", what, number, errno);
    while (waitpid(child, &status, 0) < 0)
        CHECK(errno == EINTR, "%s, child %zu: waitpid: errno %d", what, number, errno);
    CHECK(status == 0, "%s: child %zu ends with status %#x", what, number, (unsigned)status);
}

#endif
