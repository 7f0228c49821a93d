/* A thread that wakes while others' memory is given back waits for one step of the work on its
 * own heap. 64 threads leave 16 MiB each, freed by another thread, and wake again and again
 * while that one gives it all back. The wait is measured in the time that the other thread's
 * work takes of a processor, which no other program's work makes longer. */
#define TEST_LINKED
#include "threads.h"

#include <semaphore.h>
#include <time.h>

#include "core/types.h"

enum { SLEEPERS = 64, SIZE = 1000, BLOCKS = (16 << 20) / SIZE, WAITS_MOST = 100000, WAITS_WANTED = 200 };
enum { LONGEST_US = 2000, MEDIAN_US = 50 };

static struct sleeper {
    struct hak_thread *thread;
    _Atomic int64_t since; /* of the wait, nanoseconds of the other thread's time; 0: it does not wait */
    sem_t wanted;
    void **blocks;
} sleepers[SLEEPERS];
static sem_t done;
static _Atomic bool ends, sleeps_lightly;
static clockid_t worker_clock;
static uint32_t waits[WAITS_MOST]; /* microseconds */
static size_t count;

static int64_t worker_time(void) {
    struct timespec time;
    CHECK(clock_gettime(worker_clock, &time) == 0, "errno %d", errno);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static struct sleeper *sleeper_of(const _Atomic uint32_t *word) {
    for (int i = 0; i < SLEEPERS; i++)
        if (sleepers[i].thread != NULL && &sleepers[i].thread->slow == word) return &sleepers[i];
    return NULL;
}

/* ---- the system's calls by which one thread waits for the other ------------------------------------------- */

void __wrap_hak_os_wait(_Atomic uint32_t *word, uint32_t value);
void __real_hak_os_wait(_Atomic uint32_t *word, uint32_t value);
void __wrap_hak_os_wake(_Atomic uint32_t *word, int most);
void __real_hak_os_wake(_Atomic uint32_t *word, int most);

void __wrap_hak_os_wait(_Atomic uint32_t *word, uint32_t value) {
    struct sleeper *sleeper = sleeper_of(word);
    int64_t none = 0;
    if (sleeper != NULL) atomic_compare_exchange_strong(&sleeper->since, &none, worker_time());
    __real_hak_os_wait(word, value);
}

void __wrap_hak_os_wake(_Atomic uint32_t *word, int most) {
    struct sleeper *sleeper = sleeper_of(word);
    int64_t since = sleeper != NULL ? atomic_exchange(&sleeper->since, 0) : 0;
    if (since != 0 && count < WAITS_MOST) waits[count++] = (uint32_t)((worker_time() - since) / 1000);
    __real_hak_os_wake(word, most);
}

/* ---- the threads --------------------------------------------------------------------------------------- */

static void wake_again_and_again(struct sleeper *sleeper, uint64_t *random) {
    while (atomic_load(&sleeps_lightly)) {
        nanosleep(&(struct timespec){.tv_nsec = (long)(1 + test_random_below(random, 1000)) * 1000}, NULL);
        hak_free(hak_malloc(SIZE / 2));
        atomic_store(&sleeper->since, 0); /* it found its heap before it was woken */
    }
}

static void *sleeper_main(void *argument) {
    struct sleeper *sleeper = argument;
    uint64_t random = (uint64_t)(sleeper - sleepers) + 1;
    hak_free(hak_malloc(SIZE));
    sleeper->thread = &HAK_THREAD;
    sem_post(&done);
    for (;;) {
        while (sem_wait(&sleeper->wanted) != 0)
            continue;
        if (atomic_load(&ends)) return NULL;
        for (size_t i = 0; i < BLOCKS; i++)
            memset(sleeper->blocks[i] = hak_malloc(SIZE), 1, SIZE);
        sem_post(&done);
        wake_again_and_again(sleeper, &random);
        sem_post(&done);
    }
}

static void each_sleeper(bool wanted) {
    for (int i = 0; wanted && i < SLEEPERS; i++)
        sem_post(&sleepers[i].wanted);
    for (int i = 0; i < SLEEPERS; i++)
        while (sem_wait(&done) != 0)
            continue;
}

static void round_of_work(void) {
    atomic_store(&sleeps_lightly, true);
    each_sleeper(true);
    for (int i = 0; i < SLEEPERS; i++)
        for (size_t block = 0; block < BLOCKS; block++)
            hak_free(sleepers[i].blocks[block]);
    hak_malloc_trim(0);
    atomic_store(&sleeps_lightly, false);
    each_sleeper(false);
}

static int by_value(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

int main(void) {
    pthread_t threads[SLEEPERS];
    int rounds = 0;
    CHECK(pthread_getcpuclockid(pthread_self(), &worker_clock) == 0, "no clock");
    sem_init(&done, 0, 0);
    for (int i = 0; i < SLEEPERS; i++) {
        sem_init(&sleepers[i].wanted, 0, 0);
        sleepers[i].blocks = calloc(BLOCKS, sizeof(void *));
        threads[i] = thread_start(sleeper_main, &sleepers[i]);
    }
    each_sleeper(false);
    do
        round_of_work();
    while (count < WAITS_WANTED && ++rounds < 100);
    atomic_store(&ends, true);
    for (int i = 0; i < SLEEPERS; i++) {
        sem_post(&sleepers[i].wanted);
        thread_join(threads[i]);
    }
    qsort(waits, count, sizeof *waits, by_value);
    CHECK(count >= WAITS_WANTED, "only %zu waits", count);
    CHECK(waits[count - 1] < LONGEST_US, "a thread waited for %u microseconds of work", waits[count - 1]);
    CHECK(waits[count / 2] < MEDIAN_US, "the median is %u microseconds", waits[count / 2]);
    return test_ok("%zu waits in %d rounds: median %u us, 99 %% %u, longest %u", count, rounds + 1,
                   waits[count / 2], waits[count * 99 / 100], waits[count - 1]);
}
