/* A schedule: where a run does not do what it would do by itself, which is that the fiber that runs goes on, or, if it
 * cannot, that the first one that can does.
 *
 *   17:2,40:0      before step 17 fiber 2 takes over, before step 40 fiber 0
 *   17:2,40:0^3    and the third store since fiber 2 began to run is not seen by others until it runs again
 *   -              no deviation */
#ifndef HAK_EXPLORE_SCHEDULE_H
#define HAK_EXPLORE_SCHEDULE_H

#include "verify/explore/scheduler.h"

#define EXPLORE_DEVIATIONS_MAX 1024u

struct explore_deviation {
    uint32_t number; /* of the step, rising */
    uint16_t held;   /* store of the fiber that is left, from 1; 0: none is held back */
    uint8_t fiber;   /* that runs instead */
    uint8_t costs;   /* 1: the fiber that was left could have gone on */
};

struct explore_schedule {
    unsigned count;
    struct explore_deviation list[EXPLORE_DEVIATIONS_MAX];
};

/* Both ends of a string; `text` has room for `bytes`, which is enough for any schedule at 20 a deviation. */
void explore_schedule_print(const struct explore_schedule *schedule, char *text, size_t bytes);
#define EXPLORE_SCHEDULE_TEXT (EXPLORE_DEVIATIONS_MAX * 20u)

/* False if the text is no schedule; *bad is where it goes wrong. */
bool explore_schedule_parse(const char *text, struct explore_schedule *schedule, size_t *bad);

#endif
