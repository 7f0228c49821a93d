/* larson sec min max chunks rounds seed threads
 *
 * Larson and Krishnan's model of a server. Each of `threads` lines of work owns `chunks` blocks and
 * replaces random ones by new ones of min..max bytes. After chunks * rounds replacements its thread
 * ends and hands all blocks to a new thread, so that most blocks are freed by another thread than
 * the one that allocated them. An operation is one replacement: a free and a malloc. */
#include <stdatomic.h>
#include <stdbool.h>

#include "bench/bench.h"

enum { THREADS_MAX = 1024 };

/* A line of work; one thread at a time uses it. Each has a cache line of its own. */
struct line {
    _Alignas(64) char **blocks;
    struct bench_rng rng;
    uint64_t replaced;
    uint64_t threads;
};

static uint32_t size_min, size_range, chunks;
static uint64_t replacements_per_thread;
static atomic_bool stop;

static pthread_mutex_t ending = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t one_ended = PTHREAD_COND_INITIALIZER;
static uint32_t lines_running;

static char *random_block(struct bench_rng *rng) {
    return bench_block(size_min + bench_rng_below(rng, size_range));
}

static void replace_blocks(struct line *line) {
    struct bench_rng rng = line->rng;
    uint64_t done = 0;
    while (done < replacements_per_thread && !atomic_load_explicit(&stop, memory_order_relaxed)) {
        uint32_t victim = bench_rng_below(&rng, chunks);
        free(line->blocks[victim]);
        line->blocks[victim] = random_block(&rng);
        done++;
    }
    line->rng = rng;
    line->replaced += done;
}

static void *work(void *argument);

static int start_thread(struct line *line) {
    pthread_attr_t detached;
    pthread_t thread;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int result = pthread_create(&thread, &detached, work, line);
    pthread_attr_destroy(&detached);
    return result;
}

static void *work(void *argument) {
    struct line *line = (struct line *)argument;
    for (;;) {
        line->threads++;
        replace_blocks(line);
        if (atomic_load_explicit(&stop, memory_order_relaxed)) break;
        /* If no thread can be created now, this one continues in place of its successor. */
        if (start_thread(line) == 0) return NULL;
    }
    pthread_mutex_lock(&ending);
    lines_running--;
    pthread_cond_signal(&one_ended);
    pthread_mutex_unlock(&ending);
    return NULL;
}

int main(int argc, char **argv) {
    uint64_t seconds = bench_arg(argc, argv, 1, 2, 1, 86400);
    size_min = (uint32_t)bench_arg(argc, argv, 2, 8, 1, INT32_MAX);
    size_range = (uint32_t)bench_arg(argc, argv, 3, 1024, size_min, INT32_MAX) - size_min + 1;
    chunks = (uint32_t)bench_arg(argc, argv, 4, 1000, 1, INT32_MAX);
    uint64_t rounds = bench_arg(argc, argv, 5, 100, 1, INT32_MAX);
    uint64_t seed = bench_arg(argc, argv, 6, 4141, 0, UINT64_MAX - THREADS_MAX);
    uint32_t threads = (uint32_t)bench_arg(argc, argv, 7, 1, 1, THREADS_MAX);
    replacements_per_thread = chunks * rounds;

    struct line *lines = (struct line *)bench_table(threads, sizeof *lines);
    for (uint32_t i = 0; i < threads; i++) {
        lines[i].rng = bench_rng_start(seed + i);
        lines[i].blocks = (char **)bench_table(chunks, sizeof *lines[i].blocks);
        for (uint32_t k = 0; k < chunks; k++) {
            lines[i].blocks[k] = random_block(&lines[i].rng);
        }
    }

    lines_running = threads;
    double start = bench_now();
    for (uint32_t i = 0; i < threads; i++) {
        if (start_thread(&lines[i]) != 0) bench_die("pthread_create failed");
    }
    struct timespec duration = {.tv_sec = (time_t)seconds, .tv_nsec = 0};
    nanosleep(&duration, NULL);
    atomic_store_explicit(&stop, true, memory_order_relaxed);
    pthread_mutex_lock(&ending);
    while (lines_running != 0) {
        pthread_cond_wait(&one_ended, &ending);
    }
    pthread_mutex_unlock(&ending);
    double elapsed = bench_now() - start;

    uint64_t replaced = 0, started = 0;
    for (uint32_t i = 0; i < threads; i++) {
        replaced += lines[i].replaced;
        started += lines[i].threads;
        for (uint32_t k = 0; k < chunks; k++) {
            free(lines[i].blocks[k]);
        }
    }
    printf("Threads = %llu\n", (unsigned long long)started);
    bench_report(replaced, elapsed);
    return 0;
}
