/* Patterns of use by real threads. Each has a budget for the operations on words that threads
 * share. */
#ifndef HAK_COUNTS_PATTERNS_H
#define HAK_COUNTS_PATTERNS_H

#include <stdint.h>

#include "bench/bench.h"

enum { PATTERN_SLOTS = 8192 };

struct worker {
    pthread_t thread;
    uint32_t number;
    struct bench_rng rng;
    bool is_warm; /* the warm-up is over */
    void **kept;  /* growth: list of blocks; each begins with the address of the one before */
    void *slots[PATTERN_SLOTS];
    size_t sizes[PATTERN_SLOTS];
};

/* The most per thousand blocks; a block has one malloc and one free, or one realloc. In a pattern
 * with sleeping threads: per thousand looks at the heap of one of them. */
struct budget {
    double locked; /* instructions with x86's lock prefix */
    double takes;  /* of locks */
    double writes; /* to lines that other threads have, without the lines of blocks */
    double reads;  /* of lines that another thread wrote, without the lines of blocks */
};

struct pattern {
    const char *name, *text;
    uint32_t threads;
    uint32_t rounds; /* counted rounds of each thread; the warm-up has as many */
    uint32_t purge_delay_ms;
    uint32_t sleepers; /* how many of the threads sleep */
    /* Each worker calls it twice. It must not leave anything to other threads that it does not take
     * up again in the second call. */
    void (*work)(struct worker *worker, uint32_t rounds);
    struct budget budget;
};

extern const struct pattern patterns[];
extern const size_t pattern_count;

/* Runs the pattern. Afterwards tally_sum has the figures (tally.h). Once in a process. */
void pattern_run(const struct pattern *pattern);

#endif
