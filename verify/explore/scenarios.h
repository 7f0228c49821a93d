/* The scenarios that are explored: a few calls by each of some threads, and the proofs when all
 * threads are done. */
#ifndef HAK_EXPLORE_SCENARIOS_H
#define HAK_EXPLORE_SCENARIOS_H

#include "core/policy.h"
#include "verify/virtual/scheduler.h"

struct explore_scenario {
    const char *name, *text;
    void (*begin)(void);                  /* runs before the threads, as thread 0; may be NULL */
    void (*bodies[EXPLORE_FIBERS])(void); /* of each thread; NULL: the thread does not run */
    bool untouched;                       /* begins before the first use of the allocator */
    bool child; /* ends in a fork's child, where the state at the end is not checked */
};

extern const struct explore_scenario explore_scenarios[];
extern const size_t explore_scenario_count;

/* NULL: there is no scenario of this name. */
const struct explore_scenario *explore_scenario_find(const char *name);

/* A policy of large limits and batches of 64. A run begins with limits of four and batches of
 * one. */
const struct hak_policy *explore_policy_roomy(void);

/* Runs a scenario once, from the first state (virtual/state.h) back to it. A finding ends the
 * program. */
void explore_scenario_run(const struct explore_scenario *scenario,
                          const struct explore_strategy *strategy);

#endif
