/* What is explored: some threads, a few calls each, and what must hold when all of them are done. */
#ifndef HAK_EXPLORE_SCENARIOS_H
#define HAK_EXPLORE_SCENARIOS_H

#include "core/policy.h"
#include "verify/explore/scheduler.h"

struct explore_scenario {
    const char *name, *text;
    void (*begin)(void);                  /* before the threads run, as thread 0; may be NULL */
    void (*bodies[EXPLORE_FIBERS])(void); /* of each thread; NULL: it does not run */
    bool untouched;                       /* it begins before anybody used the allocator */
    bool child; /* it ends in a fork's child: what the other threads left is not looked at */
};

extern const struct explore_scenario explore_scenarios[];
extern const size_t explore_scenario_count;

/* NULL: there is none of this name. */
const struct explore_scenario *explore_scenario_find(const char *name);

/* Bins with much room, and batches of 64; a run begins with bins of four and batches of one. */
const struct hak_policy *explore_policy_roomy(void);

/* One run of a scenario, from the first state back to it. Whatever does not hold ends the program. */
void explore_scenario_run(const struct explore_scenario *scenario,
                          const struct explore_strategy *strategy);

#endif
