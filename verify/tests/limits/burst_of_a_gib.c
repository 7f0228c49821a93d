/* A burst of 1 GiB of mixed blocks is freed. Then the resident memory is at most 5 % and 4 MiB
 * above that for the live blocks alone: at once after malloc_trim(0), or soon after the purge delay
 * while the program murmurs (process_work_a_little).
 *
 * If the thread of the burst goes on itself, 6 MiB are allowed. The program uses 4 MiB of large
 * blocks all the time and never writes to them. After the burst they lie in memory that the burst
 * has touched, and so do some free places in slabs that are older than the burst.
 *
 * usage: burst_of_a_gib trim|delay THREADS [freed-by-main|crossed]
 *
 * With 1 thread, the main thread has the burst. Otherwise so many threads have it, and then sleep.
 * Each thread frees its own blocks before it sleeps. freed-by-main: the main thread frees them
 * while the threads sleep. crossed: each thread frees another thread's blocks. */
#include "../process.h"
#include "../threads/threads.h"

enum { THREADS_MAX = 8, DOUBLINGS = 16 };

static const size_t live_bytes = 64 * MIB;
static size_t burst_bytes = 1024 * MIB;

struct blocks {
    void **block;
    size_t count;
};

static pthread_barrier_t over;

/* Takes blocks from 16 bytes to 1 MiB, equally many bytes in each doubling of the size. */
static struct blocks take(size_t bytes, uint64_t seed) {
    struct blocks all = {process_map(bytes / 16 * sizeof(void *)), 0};
    for (size_t least = 16, doubling = 0; doubling < DOUBLINGS; doubling++, least *= 2) {
        for (size_t taken = 0; taken < bytes / DOUBLINGS;) {
            size_t size = least + test_random_below(&seed, least);
            void *block = malloc(size);
            CHECK(block != NULL, "no block of %zu bytes", size);
            memset(block, 1, size);
            all.block[all.count++] = block;
            taken += size;
        }
    }
    /* Shuffled, so that the blocks are freed in random order. */
    for (size_t i = all.count - 1; i > 0; i--) {
        size_t other = test_random_below(&seed, i + 1);
        void *block = all.block[i];
        all.block[i] = all.block[other];
        all.block[other] = block;
    }
    return all;
}

static void give(struct blocks all, size_t bytes) {
    for (size_t i = 0; i < all.count; i++)
        free(all.block[i]);
    munmap(all.block, bytes / 16 * sizeof(void *));
}

static bool freed_by_main, crossed;
static struct blocks left[THREADS_MAX];
static _Atomic size_t threads_left;
static pthread_barrier_t taken;

static void *burst(void *argument) {
    size_t threads = *(size_t *)argument, bytes = burst_bytes / threads;
    struct blocks all = take(bytes, 7);
    if (freed_by_main || crossed) {
        size_t own = threads_left++;
        left[own] = all;
        if (crossed) pthread_barrier_wait(&taken);
        if (crossed) give(left[(own + 1) % threads], bytes);
    } else {
        give(all, bytes);
    }
    if (threads > 1) {
        pthread_barrier_wait(&over); /* the burst is over */
        pthread_barrier_wait(&over); /* the test is over */
    }
    return NULL;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
    test_needs_hakmem();
    CHECK(argc == 3 || argc == 4,
          "usage: burst_of_a_gib trim|delay THREADS [freed-by-main|crossed]");
    freed_by_main = argc == 4 && strcmp(argv[3], "freed-by-main") == 0;
    crossed = argc == 4 && !freed_by_main;
    bool trim = strcmp(argv[1], "trim") == 0;
    size_t threads = (size_t)atoi(argv[2]);
    CHECK(threads >= 1 && threads <= THREADS_MAX, "%zu threads", threads);
    if (test_quick()) burst_bytes /= 4;
    process_work_a_little();
    struct blocks live = take(live_bytes, 5);
    const bool goes_on = !trim && threads == 1;
    /* Two murmurs are 10 ms or more apart, so this is a few seconds on a quiet machine. */
    const unsigned murmurs_most = goes_on ? 400 : 200;
    size_t before = process_resident(), most = before + before / 20 + (goes_on ? 6 : 4) * MIB;
    pthread_t thread[THREADS_MAX];
    pthread_barrier_init(&over, NULL, (unsigned)threads + 1);
    pthread_barrier_init(&taken, NULL, (unsigned)threads);
    for (size_t i = 0; threads > 1 && i < threads; i++)
        thread[i] = thread_start(burst, &threads);
    if (threads > 1) {
        pthread_barrier_wait(&over);
    } else {
        burst(&threads);
    }
    for (size_t i = 0; freed_by_main && i < threads_left; i++)
        give(left[i], burst_bytes / threads);
    double began = now();
    size_t at_once = process_resident(), after = at_once;
    if (trim) {
        malloc_trim(0);
        after = process_resident();
    }
    for (unsigned murmurs = 0; !trim && after > most && murmurs < murmurs_most; murmurs++) {
        usleep(10000);
        process_work_a_little();
        after = process_resident();
    }
    CHECK(after <= most, "%zu MiB are resident after %.1f s, %zu at once, %zu before the burst",
          after / MIB, now() - began, at_once / MIB, before / MIB);
    double seconds = now() - began;
    if (threads > 1) pthread_barrier_wait(&over);
    for (size_t i = 0; threads > 1 && i < threads; i++)
        thread_join(thread[i]);
    give(live, live_bytes);
    return test_ok("%zu MiB resident after %.1f s, %zu at once, %zu before the burst", after / MIB,
                   seconds, at_once / MIB, before / MIB);
}
