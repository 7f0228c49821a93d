/* Runs several virtual threads (fuzz/state.h) at once, each on a fiber, and switches between them only where a step of
 * core/ begins (yields.h): an atomic operation, a lock, and, where the system's calls are steps, one of those. Who runs
 * next is up to a strategy, so a run is the same each time that its strategy says the same. */
#ifndef HAK_EXPLORE_SCHEDULER_H
#define HAK_EXPLORE_SCHEDULER_H

#include <stdint.h>

#include "fuzz/state.h"
#include "verify/explore/yields.h"

#define EXPLORE_FIBERS                                                                             \
    FUZZ_THREADS /* fiber i is thread i; the last one is the thread that has ended */
#define EXPLORE_NOBODY    UINT8_MAX
#define EXPLORE_STEPS_MAX 100000u /* of one run; more is a livelock */

/* A step is about to begin, and more than one fiber could run. */
struct explore_point {
    uint32_t number; /* of the step, over all fibers, from 1 */
    uint8_t running; /* whose step it is; EXPLORE_NOBODY: it has ended, or waits for a lock */
    uint8_t
        could_run; /* a bit a fiber: neither ended nor waiting; that of `running` is among them */
    uint8_t last_running;            /* `running`, also if it cannot go on */
    const struct explore_step *step; /* NULL: the run begins, or a fiber has ended */
};

struct explore_strategy {
    /* The fiber that runs next, of those that could. */
    unsigned (*choose)(const struct explore_point *point, void *context);
    /* What follows may be NULL. A fiber does its step now; nobody else runs before its next one. */
    void (*does)(unsigned fiber, struct explore_step *step, void *context);
    /* `to` runs from here on; EXPLORE_NOBODY: before the first one, and after the last. */
    void (*switches)(unsigned from, unsigned to, void *context);
    void *context;
};

/* Runs the bodies, those that are not NULL, until all of them have ended. A deadlock and a livelock end the program. */
void explore_run(void (*const bodies[EXPLORE_FIBERS])(void),
                 const struct explore_strategy *strategy);

/* The fiber that runs; EXPLORE_NOBODY: none. */
unsigned explore_fiber(void);

/* For the fiber that runs: all the others cease to exist, as in a fork's child. */
void explore_only_me(void);

/* Ends the program with a line. */
_Noreturn void explore_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define EXPLORE_CHECK(cond, ...) ((void)((cond) || (explore_fail(__VA_ARGS__), 0)))

#endif
