/* fork in a program whose other threads allocate. Parent and child both go on with several
 * threads, and the child can free what the parent's threads have allocated. */
#include "threads.h"

#include <sys/wait.h>

enum { WORKERS = 4, LEFT = 300, CHILD_THREADS = 3, CHILD_SECONDS = 600 };

static struct letter *left[WORKERS][LEFT]; /* alive in the parent all the time */
static _Atomic size_t progress[WORKERS];
static _Atomic bool stop;

static void churn(uint64_t seed, size_t rounds) {
    struct letter *mine[64] = {0};
    for (size_t i = 0; i < rounds; i++) {
        struct letter **slot = &mine[test_random_below(&seed, TEST_COUNT(mine))];
        if (*slot != NULL) letter_free(*slot);
        *slot = letter_new(letter_size(&seed), i);
    }
    for (size_t i = 0; i < TEST_COUNT(mine); i++)
        if (mine[i] != NULL) letter_free(mine[i]);
}

/* Large blocks: they need the allocator's locks. */
static void churn_shared(uint64_t seed, size_t rounds) {
    char *mine[8] = {0};
    for (size_t i = 0; i < rounds; i++) {
        char **slot = &mine[test_random_below(&seed, TEST_COUNT(mine))];
        free(*slot);
        size_t size = 60000 + test_random_below(&seed, 2000000);
        *slot = malloc(size);
        CHECK(*slot != NULL, "malloc(%zu): errno %d", size, errno);
        **slot = 1;
    }
    for (size_t i = 0; i < TEST_COUNT(mine); i++)
        free(mine[i]);
}

static void *short_life(void *argument) {
    churn(1, 5);
    return argument;
}

static void *work(void *argument) {
    size_t mine = (size_t)argument;
    uint64_t seed = mine;
    for (size_t i = 0; i < LEFT; i++)
        left[mine][i] = letter_new(letter_size(&seed), i);
    while (!stop) {
        if (mine == 0)
            churn(seed++, 200);
        else if (mine < 3)
            churn_shared(seed++, 200);
        else
            thread_run(short_life, NULL);
        progress[mine]++;
    }
    for (size_t i = 0; i < LEFT; i++)
        letter_free(left[mine][i]);
    return NULL;
}

/* In the child: threads that free a part of the parent's blocks and go on allocating. */
static void *child_work(void *argument) {
    size_t part = (size_t)argument;
    for (size_t i = part; i < WORKERS * LEFT; i += CHILD_THREADS)
        letter_free(left[i / LEFT][i % LEFT]);
    churn(part, 500);
    churn_shared(part, 50);
    return NULL;
}

static void child(bool by_exit) {
    alarm(CHILD_SECONDS);
    churn(7, 200);
    churn_shared(7, 50);
    pthread_t threads[CHILD_THREADS];
    for (size_t i = 0; i < CHILD_THREADS; i++)
        threads[i] = thread_start(child_work, (void *)i);
    for (size_t i = 0; i < CHILD_THREADS; i++)
        thread_join(threads[i]);
    if (by_exit) exit(0);
    _exit(0);
}

static void require_progress(void) {
    for (size_t i = 0; i < WORKERS; i++) {
        size_t before = progress[i];
        while (progress[i] < before + 2)
            usleep(100);
    }
}

int main(void) {
    test_needs_hakmem();
    size_t forks = test_quick() ? 40 : 200;
    alarm((unsigned)forks * 20 + CHILD_SECONDS); /* only if it hangs */
    pthread_t workers[WORKERS];
    for (size_t i = 0; i < WORKERS; i++)
        workers[i] = thread_start(work, (void *)i);
    require_progress(); /* each worker has its blocks now */
    for (size_t i = 0; i < forks; i++) {
        pid_t process = fork();
        CHECK(process >= 0, "fork %zu: errno %d", i, errno);
        if (process == 0) child(i % 2 == 0);
        churn(i, 200); /* the parent's forking thread goes on while the child runs */
        int status = 0;
        CHECK(waitpid(process, &status, 0) == process && status == 0,
              "child %zu ends with status %#x", i, (unsigned)status);
    }
    require_progress();
    stop = true;
    for (size_t i = 0; i < WORKERS; i++)
        thread_join(workers[i]);
    return test_ok("%zu forks", forks);
}
