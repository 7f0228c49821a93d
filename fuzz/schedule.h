/* Fuzz inputs whose operations run concurrently on virtual threads, which are fibers
 * (verify/virtual/scheduler.h). The input says where a thread stops and which thread goes on. The
 * layout is that of fuzz/run.h.
 *
 * Operations begin in the order of the input, whichever thread they belong to. A switch belongs to
 * the operation before it. It takes effect a number of steps after that operation began, or after
 * the previous switch in that operation. Then the thread that the switch names goes on: with the
 * operation in which it was stopped, or else with its next one. The stopped thread goes on when a
 * switch names it, or when its next operation is due. */
#ifndef HAK_FUZZ_SCHEDULE_H
#define HAK_FUZZ_SCHEDULE_H

#include "fuzz/run.h"

#define FUZZ_OPS_MAX 128u /* operations of an input */
#define FUZZ_SWITCH                                                                                \
    0xc0 /* kinds from here on: switches after size % FUZZ_STEPS_MAX steps; below: operations */
#define FUZZ_STEPS_MAX 64u

static inline bool fuzz_is_switch(const struct fuzz_op *op) {
    return op->kind >= FUZZ_SWITCH;
}

/* The thread that does the operation, or that the switch names. FUZZ_THREAD_GONE gets few. */
static inline unsigned fuzz_thread_of(const struct fuzz_op *op) {
    unsigned choice = op->thread % 16;
    return choice == 15 ? FUZZ_THREAD_GONE : choice / 5;
}

/* Does the operations after the header of an input. `changed`, if not NULL, is called with the
 * number of threads that are in the middle of an operation whenever that number changes. */
void fuzz_schedule_run(const uint8_t *data, size_t size, void (*run)(const struct fuzz_op *op),
                       void (*changed)(unsigned busy));

/* The running virtual thread. */
unsigned fuzz_schedule_thread(void);

/* Between these two calls no other thread runs and no step is counted: for calls into core/ that
 * are no part of the input. */
void fuzz_schedule_hold(void);
void fuzz_schedule_go_on(void);

/* Mutates operations, or switches only. */
size_t fuzz_schedule_mutate(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#endif
