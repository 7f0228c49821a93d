/* After a peak of thousands of threads, a short thread costs the same as before: no code walks over
 * all that the peak has left behind.
 *
 * usage: threads_after_a_peak PEAK */
#include "../process.h"

#include <pthread.h>

enum { SHORT = 1000, TIMES_MOST = 4 };

static pthread_barrier_t begun, over;
static pthread_attr_t attributes;

static void *brief(void *unused) {
    void *blocks[20];
    for (size_t i = 0; i < 20; i++)
        blocks[i] = malloc(16 + i * 40);
    for (size_t i = 0; i < 20; i++)
        free(blocks[i]);
    return unused;
}

static void *at_the_peak(void *unused) {
    void *block = malloc(100);
    pthread_barrier_wait(&begun);
    pthread_barrier_wait(&over);
    free(block);
    return unused;
}

static void start(pthread_t *thread, void *(*routine)(void *)) {
    int error = pthread_create(thread, &attributes, routine, NULL);
    CHECK(error == 0, "no thread: error %d", error);
}

/* Processor time of the process, microseconds. */
static double used(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* Processor time of a short thread in microseconds: the least of some rounds. */
static double cost(void) {
    double least = 1e12;
    for (int round = 0; round < 5; round++) {
        double before = used();
        for (int i = 0; i < SHORT; i++) {
            pthread_t thread;
            start(&thread, brief);
            pthread_join(thread, NULL);
        }
        double now = (used() - before) / SHORT;
        if (now < least) least = now;
    }
    return least;
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: threads_after_a_peak PEAK");
    const unsigned peak = (unsigned)strtoul(argv[1], NULL, 10);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    pthread_barrier_init(&begun, NULL, peak + 1);
    pthread_barrier_init(&over, NULL, peak + 1);
    const double before = cost();
    pthread_t *threads = calloc(peak, sizeof *threads);
    for (unsigned i = 0; i < peak; i++)
        start(&threads[i], at_the_peak);
    pthread_barrier_wait(&begun);
    pthread_barrier_wait(&over);
    for (unsigned i = 0; i < peak; i++)
        pthread_join(threads[i], NULL);
    const double after = cost();
    /* These calls take the slow path, which also looks after the heaps that the peak has left. */
    for (int i = 0; i < 1000000; i++)
        free(malloc((size_t)(20000 + i % 9 * 5000)));
    usleep(700000);
    const double later = cost();
    CHECK(after <= TIMES_MOST * before && later <= TIMES_MOST * before,
          "a short thread costs %.1f us, after %u threads %.1f, later %.1f", before, peak, after,
          later);
    return test_ok("a short thread costs %.1f us, after %u threads %.1f, later %.1f", before, peak,
                   after, later);
}
