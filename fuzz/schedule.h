/* Inputs whose operations virtual threads do at once, on fibers (verify/explore/scheduler.h), and that say where one stops
 * and which other goes on. The layout is that of fuzz/run.h.
 *
 * Operations begin in the input's order, whichever thread's they are. A switch belongs to the operation before it: so many
 * steps after that began, or after the last switch in it, another thread goes on, with the operation that it was stopped in,
 * or with its next one. Who was stopped goes on when a switch names it, or its next operation is due. */
#ifndef HAK_FUZZ_SCHEDULE_H
#define HAK_FUZZ_SCHEDULE_H

#include "fuzz/run.h"

#define FUZZ_OPS_MAX 128u /* of an input */
#define FUZZ_SWITCH                                                                                \
    0xc0 /* kinds from here on are switches, after size % FUZZ_STEPS_MAX steps; others are the target's */
#define FUZZ_STEPS_MAX 64u

static inline bool fuzz_is_switch(const struct fuzz_op *op) {
    return op->kind >= FUZZ_SWITCH;
}

/* Whose operation it is, or to whom the switch goes; the last one (fuzz/state.h) has few. */
static inline unsigned fuzz_thread_of(const struct fuzz_op *op) {
    unsigned choice = op->thread % 16;
    return choice == 15 ? FUZZ_THREAD_GONE : choice / 5;
}

/* Does the operations behind the header of an input; `changed` may be NULL: how many threads are in the middle of one. */
void fuzz_schedule_run(const uint8_t *data, size_t size, void (*run)(const struct fuzz_op *op),
                       void (*changed)(unsigned busy));

/* The thread that runs. */
unsigned fuzz_schedule_thread(void);

/* Between these nobody else runs, and no steps are counted: what core/ does there is none of the input's. */
void fuzz_schedule_hold(void);
void fuzz_schedule_go_on(void);

/* Changes operations, or switches only. */
size_t fuzz_schedule_mutate(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#endif
