/* A thread that wakes while another thread gives memory back waits for one step of the work on
 * its own heap. 64 threads allocate 16 MiB each; the main thread frees all of it and trims. At a
 * random step of the work on each heap, the heap's thread is woken and waits. The rest of its
 * wait is one step. The step is measured in processor time of the main thread, which the work of
 * other programs does not lengthen, and in slabs whose blocks it takes back, however fast the
 * machine is. */
#define TEST_LINKED
#include "threads.h"

#include <semaphore.h>
#include <time.h>

#include "core/announced.h"

enum { SLEEPERS = 64, SIZE = 1000, BLOCKS = (16 << 20) / SIZE };
enum { WAITS_MOST = 100000, WAITS_WANTED = 200 };
enum { LONGEST_US = 2000, MEDIAN_US = 50, SLABS_MOST = 1 };

static struct sleeper {
    struct hak_thread *thread;
    sem_t wanted, wakes;
    void **blocks;
} sleepers[SLEEPERS];
static sem_t done;
static _Atomic bool ends, sleeps_lightly;
static uint32_t waits[WAITS_MOST]; /* microseconds */
static size_t count;
static _Thread_local bool works; /* the main thread */

/* ---- the work on one heap -------------------------------------------------------------------- */

static struct {
    struct hak_heap *heap;
    unsigned step, wakes_at, longest; /* steps of one visit to a heap */
    /* Since when the heap's thread waits, nanoseconds of worker_time; 0: it does not wait. */
    int64_t since;
    unsigned slabs, most_slabs; /* that were reset while the thread waited */
    uint64_t random;
} work = {.random = 1};

static int64_t worker_time(void) {
    struct timespec time;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0, "errno %d", errno);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static struct sleeper *sleeper_of(struct hak_heap *heap) {
    const struct hak_thread *thread = hak_heap_thread(heap);
    for (int i = 0; thread != NULL && i < SLEEPERS; i++)
        if (sleepers[i].thread == thread) return &sleepers[i];
    return NULL;
}

bool __wrap_hak_seize_is_awaited(const struct hak_heap *heap);
bool __real_hak_seize_is_awaited(const struct hak_heap *heap);

static void wake_and_see_it_wait(struct sleeper *sleeper, struct hak_heap *heap) {
    sem_post(&sleeper->wakes);
    for (int tries = 0; !__real_hak_seize_is_awaited(heap); tries++) {
        CHECK(tries < 600000, "the thread does not wait for its heap");
        usleep(1000);
    }
    work.slabs = 0;
    work.since = worker_time();
}

/* Called before each step of the work. If this call wakes the heap's thread, only the next call
 * returns true. */
bool __wrap_hak_seize_is_awaited(const struct hak_heap *visited) {
    struct hak_heap *heap = (struct hak_heap *)(uintptr_t)visited;
    struct sleeper *sleeper = sleeper_of(heap);
    if (__real_hak_seize_is_awaited(heap)) return true;
    if (sleeper == NULL) return false;
    if (work.heap != heap) {
        work.heap = heap;
        work.step = 0;
        work.wakes_at = (unsigned)test_random_below(&work.random, 2 * work.longest + 2);
    }
    if (work.step > work.longest) work.longest = work.step;
    if (work.step++ == work.wakes_at) wake_and_see_it_wait(sleeper, heap);
    return false;
}

void __wrap_hak_slab_reset(struct hak_slab *slab);
void __real_hak_slab_reset(struct hak_slab *slab);

void __wrap_hak_slab_reset(struct hak_slab *slab) {
    if (works && work.since != 0 && ++work.slabs > work.most_slabs) work.most_slabs = work.slabs;
    __real_hak_slab_reset(slab);
}

void __wrap_hak_os_wake(_Atomic uint32_t *word, int most);
void __real_hak_os_wake(_Atomic uint32_t *word, int most);

void __wrap_hak_os_wake(_Atomic uint32_t *word, int most) {
    const struct sleeper *sleeper = work.heap != NULL ? sleeper_of(work.heap) : NULL;
    if (work.since != 0 && sleeper != NULL && word == &sleeper->thread->slow) {
        if (count < WAITS_MOST) waits[count++] = (uint32_t)((worker_time() - work.since) / 1000);
        work.since = 0;
    }
    __real_hak_os_wake(word, most);
}

/* ---- the threads ----------------------------------------------------------------------------- */

static void down(sem_t *sem) {
    while (sem_wait(sem) != 0)
        continue;
}

static void *sleeper_main(void *argument) {
    struct sleeper *sleeper = argument;
    hak_free(hak_malloc(SIZE));
    sleeper->thread = &HAK_THREAD;
    sem_post(&done);
    for (;;) {
        down(&sleeper->wanted);
        if (atomic_load(&ends)) return NULL;
        for (size_t i = 0; i < BLOCKS; i++)
            memset(sleeper->blocks[i] = hak_malloc(SIZE), 1, SIZE);
        sem_post(&done);
        for (down(&sleeper->wakes); atomic_load(&sleeps_lightly); down(&sleeper->wakes))
            hak_free(hak_malloc(SIZE / 2));
        sem_post(&done);
    }
}

static void each_sleeper(bool wanted) {
    for (int i = 0; wanted && i < SLEEPERS; i++)
        sem_post(&sleepers[i].wanted);
    for (int i = 0; i < SLEEPERS; i++)
        down(&done);
}

static void round_of_work(void) {
    atomic_store(&sleeps_lightly, true);
    each_sleeper(true);
    for (int i = 0; i < SLEEPERS; i++)
        for (size_t block = 0; block < BLOCKS; block++)
            hak_free(sleepers[i].blocks[block]);
    hak_malloc_trim(0);
    atomic_store(&sleeps_lightly, false);
    for (int i = 0; i < SLEEPERS; i++)
        sem_post(&sleepers[i].wakes);
    each_sleeper(false);
}

static int by_value(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

int main(void) {
    pthread_t threads[SLEEPERS];
    int rounds = 0;
    works = true;
    sem_init(&done, 0, 0);
    for (int i = 0; i < SLEEPERS; i++) {
        sem_init(&sleepers[i].wanted, 0, 0);
        sem_init(&sleepers[i].wakes, 0, 0);
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
    CHECK(work.most_slabs <= SLABS_MOST, "a thread waited for %u slabs", work.most_slabs);
    CHECK(waits[count - 1] < LONGEST_US, "a thread waited for %u us of work", waits[count - 1]);
    CHECK(waits[count / 2] < MEDIAN_US, "the median is %u microseconds", waits[count / 2]);
    return test_ok("%zu waits in %d rounds, at one of up to %u steps, up to %u slab: median %u "
                   "us, 99 %% %u, longest %u",
                   count, rounds + 1, work.longest, work.most_slabs, waits[count / 2],
                   waits[count * 99 / 100], waits[count - 1]);
}
