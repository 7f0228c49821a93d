/* What is explored: some threads, a few calls each, and what must hold when all of them are done. */
#ifndef HAK_EXPLORE_SCENARIOS_H
#define HAK_EXPLORE_SCENARIOS_H

#include "verify/explore/scheduler.h"

struct explore_scenario {
    const char *name, *text;
    void (*begin)(void);                  /* before the threads run, as thread 0; may be NULL */
    void (*bodies[EXPLORE_FIBERS])(void); /* of each thread; NULL: it does not run */
    void (*end)(void);                    /* when all have ended, as thread 0; may be NULL */
};

extern const struct explore_scenario explore_scenarios[];
extern const size_t explore_scenario_count;

/* NULL: there is none of this name. */
const struct explore_scenario *explore_scenario_find(const char *name);

/* One run of a scenario, from the first state back to it. Whatever does not hold ends the program. */
void explore_scenario_run(const struct explore_scenario *scenario, const struct explore_strategy *strategy);

#endif
