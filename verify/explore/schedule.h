/* A schedule: the deviations of a run from its default. By default the running fiber goes on; if it
 * cannot, the first fiber that can runs.
 *
 *   17:2,40:0      fiber 2 takes over before step 17, fiber 0 before step 40
 *   17:2,40:0^3    and the third store of fiber 2 since step 17 is held back until it runs again
 *   -              no deviation */
#ifndef HAK_EXPLORE_SCHEDULE_H
#define HAK_EXPLORE_SCHEDULE_H

#include "verify/virtual/scheduler.h"

#define EXPLORE_DEVIATIONS_MAX 1024u

struct explore_deviation {
    uint32_t number; /* of the step; ascending in a schedule */
    uint16_t held;   /* the held store of the fiber that is left, counted from 1; 0: none */
    uint8_t fiber;   /* the fiber that runs instead */
    uint8_t costs;   /* 1: a preemption: the fiber that was left could have gone on */
};

struct explore_schedule {
    unsigned count;
    struct explore_deviation list[EXPLORE_DEVIATIONS_MAX];
};

/* Writes the schedule as a string into `text`, which has `bytes` bytes. EXPLORE_SCHEDULE_TEXT is
 * enough for any schedule: 20 bytes a deviation. */
void explore_schedule_print(const struct explore_schedule *schedule, char *text, size_t bytes);
#define EXPLORE_SCHEDULE_TEXT (EXPLORE_DEVIATIONS_MAX * 20u)

/* False if the text is no schedule; *bad is the offset of the error. */
bool explore_schedule_parse(const char *text, struct explore_schedule *schedule, size_t *bad);

#endif
