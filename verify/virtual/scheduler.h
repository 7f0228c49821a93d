/* Runs several virtual threads (state.h), each on a fiber. It switches between fibers only
 * where a step of core/ begins (yields.h): an atomic operation, a lock operation or, where system
 * calls are steps, a system call. A strategy chooses the fiber that runs next. With the same
 * choices a run is the same each time. */
#ifndef HAK_VIRTUAL_SCHEDULER_H
#define HAK_VIRTUAL_SCHEDULER_H

#include <stdint.h>

#include "verify/virtual/state.h"
#include "verify/virtual/yields.h"

#define EXPLORE_FIBERS                                                                             \
    FUZZ_THREADS /* fiber i is thread i; the last one is the thread that has ended */
#define EXPLORE_NOBODY    UINT8_MAX
#define EXPLORE_STEPS_MAX 100000u /* of one run; more is a livelock */

/* A step is about to begin, and more than one fiber could run. */
struct explore_point {
    uint32_t number; /* of the step, over all fibers, from 1 */
    uint8_t running; /* the fiber of the step; EXPLORE_NOBODY: it has ended, or waits */
    /* One bit for each fiber that has neither ended nor waits, `running` among them. */
    uint8_t could_run;
    uint8_t last_running;            /* the fiber of the step, also if it cannot go on */
    const struct explore_step *step; /* NULL: the run begins, or a fiber has ended */
};

struct explore_strategy {
    /* Returns the fiber that runs next, one of those that could run. */
    unsigned (*choose)(const struct explore_point *point, void *context);
    /* The functions below may be NULL. The fiber does its step now; no other fiber runs before its
     * next step. */
    void (*does)(unsigned fiber, struct explore_step *step, void *context);
    /* `from` is left and `to` runs. EXPLORE_NOBODY: no fiber, before the first and after the last
     * one. */
    void (*switches)(unsigned from, unsigned to, void *context);
    void *context;
};

/* Runs the bodies that are not NULL until all of them have ended. A deadlock or livelock ends the
 * program. */
void explore_run(void (*const bodies[EXPLORE_FIBERS])(void),
                 const struct explore_strategy *strategy);

/* The running fiber; EXPLORE_NOBODY: none. */
unsigned explore_fiber(void);

/* Called by the running fiber: all other fibers cease to exist, as in a fork's child. */
void explore_only_me(void);

/* Ends the program with a line. */
_Noreturn void explore_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define EXPLORE_CHECK(cond, ...) ((void)((cond) || (explore_fail(__VA_ARGS__), 0)))

#endif
