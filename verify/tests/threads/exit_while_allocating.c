/* A program ends by exit while its threads are in the middle of allocations. */
#include "threads.h"

#include <sys/wait.h>

enum { THREADS = 4, CHILD_SECONDS = 600 };

static _Atomic size_t rounds;

static void *churn(void *argument) {
    uint64_t seed = (uint64_t)(size_t)argument;
    struct letter *letters[50] = {0};
    while (rounds < SIZE_MAX) {
        struct letter **slot = &letters[test_random_below(&seed, TEST_COUNT(letters))];
        if (*slot != NULL) letter_free(*slot);
        *slot = letter_new(letter_size(&seed), rounds++);
    }
    return NULL;
}

static void late(void) {
    letter_free(letter_new(3000, 1));
}

static void child(size_t number) {
    alarm(CHILD_SECONDS);
    atexit(late);
    rounds = 0;
    for (size_t i = 0; i < THREADS; i++)
        pthread_detach(thread_start(churn, (void *)(number * THREADS + i)));
    while (rounds < 100 + number * 37 % 500)
        sched_yield();
    exit(0);
}

int main(void) {
    test_needs_hakmem();
    size_t children = test_quick() ? 40 : 200;
    for (size_t i = 0; i < children; i++) {
        pid_t process = fork();
        CHECK(process >= 0, "fork %zu: errno %d", i, errno);
        if (process == 0) child(i);
        int status = 0;
        CHECK(waitpid(process, &status, 0) == process && status == 0,
              "program %zu ends with status %#x", i, (unsigned)status);
    }
    return test_ok("%zu programs ended", children);
}
