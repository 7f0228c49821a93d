/* Patterns of use by real threads, each with a budget: what it may cost of the words that threads share. */
#ifndef HAK_COUNTS_PATTERNS_H
#define HAK_COUNTS_PATTERNS_H

#include <stdint.h>

#include "bench/bench.h"

enum { PATTERN_SLOTS = 8192 };

struct worker {
    pthread_t thread;
    uint32_t number;
    struct bench_rng rng;
    bool is_warm; /* the rounds that are counted have begun, or will next */
    void **kept;  /* growth: each begins with the address of the one before */
    void *slots[PATTERN_SLOTS];
    size_t sizes[PATTERN_SLOTS];
};

/* Per thousand blocks, which have a malloc and a free each, or one realloc; where threads sleep, per thousand looks at the heap
 * of one of them. */
struct budget {
    double locked; /* instructions with x86's lock prefix */
    double takes;  /* locks */
    double writes; /* to lines that other threads have, blocks' apart */
    double reads;  /* of lines that another thread wrote */
};

struct pattern {
    const char *name, *text;
    uint32_t threads;
    uint32_t rounds; /* counted, of each thread; as many before, to warm up */
    uint32_t purge_delay_ms;
    uint32_t sleepers; /* of the threads */
    /* Called by each worker twice. It must leave nothing to other threads that it will not take up again. */
    void (*work)(struct worker *worker, uint32_t rounds);
    struct budget budget;
};

extern const struct pattern patterns[];
extern const size_t pattern_count;

/* Runs it; then the figures are there (tally.h). Once in a process. */
void pattern_run(const struct pattern *pattern);

#endif
