/* Which schedules of a scenario are run. */
#ifndef HAK_EXPLORE_SEARCH_H
#define HAK_EXPLORE_SEARCH_H

#include "verify/explore/scenarios.h"
#include "verify/explore/schedule.h"
#include "verify/explore/stores.h"

struct explore_options {
    enum explore_memory memory;
    bool no_races;        /* plain accesses are not looked at for races */
    unsigned preemptions; /* exhaustive: at most so many, from none on */
    uint64_t seed;
    unsigned depth; /* PCT: ordering constraints that a bug may need */
};

/* What is being done, in memory that outlives the process that does it. */
struct explore_progress {
    struct explore_schedule schedule; /* of the run that goes on, so far */
    uint64_t runs;
    uint64_t states; /* exhaustive: that differ */
    uint64_t pruned; /* runs that came to a state seen before */
    bool done;
};

/* All of these end the program where something does not hold. `seconds`: no run begins later; 0: no limit. */

/* Every schedule with that many preemptions; where memory is not SC, all of them again with one store that is held back.
 * False: the time was up. */
bool explore_exhaustive(const struct explore_scenario *scenario,
                        const struct explore_options *options, double seconds,
                        struct explore_progress *progress);

/* Random walks: at each step a fiber is left with a probability that is random for each run. */
void explore_random(const struct explore_scenario *scenario, const struct explore_options *options,
                    double seconds, struct explore_progress *progress);

/* Probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010): random priorities, and depth - 1 random steps at which
 * the fiber that runs gets the lowest one. */
void explore_pct(const struct explore_scenario *scenario, const struct explore_options *options,
                 double seconds, struct explore_progress *progress);

/* One run. Status 3 ends the process if the schedule wants what cannot be. */
#define EXPLORE_STATUS_MISFIT 3
void explore_replay(const struct explore_scenario *scenario, const struct explore_options *options,
                    const struct explore_schedule *schedule, struct explore_progress *progress);

#endif
