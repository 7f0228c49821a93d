/* Chooses and runs the schedules of a scenario. */
#ifndef HAK_EXPLORE_SEARCH_H
#define HAK_EXPLORE_SEARCH_H

#include "verify/explore/scenarios.h"
#include "verify/explore/schedule.h"
#include "verify/explore/stores.h"

struct explore_options {
    enum explore_memory memory;
    bool no_races;        /* plain accesses are not checked for races */
    unsigned preemptions; /* exhaustive: the most preemptions; the search begins with none */
    uint64_t seed;
    unsigned depth; /* PCT: how many ordering constraints a bug may need */
};

/* The progress of a search, in memory that outlives the searching process. */
struct explore_progress {
    struct explore_schedule schedule; /* of the present run, so far */
    uint64_t runs;
    uint64_t states; /* exhaustive: different states that were seen */
    uint64_t pruned; /* runs that reached a state that was seen before */
    bool done;       /* without a finding */
};

/* The functions below end the program at a finding. `seconds`: no run begins after this time. */

/* Runs every schedule with up to options->preemptions preemptions. If the memory is not SC, runs
 * all of them again with one store held back. `seconds` 0: no limit. False: the time was up. */
bool explore_exhaustive(const struct explore_scenario *scenario,
                        const struct explore_options *options, double seconds,
                        struct explore_progress *progress);

/* Random walks: at each step the running fiber is left with a probability that is chosen at random
 * for each run. */
void explore_random(const struct explore_scenario *scenario, const struct explore_options *options,
                    double seconds, struct explore_progress *progress);

/* Probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010): random priorities, and depth
 * - 1 random steps at which the running fiber gets the lowest priority. */
void explore_pct(const struct explore_scenario *scenario, const struct explore_options *options,
                 double seconds, struct explore_progress *progress);

/* Runs one schedule. If the schedule does not fit the run, the process ends with this status. */
#define EXPLORE_STATUS_MISFIT 3
void explore_replay(const struct explore_scenario *scenario, const struct explore_options *options,
                    const struct explore_schedule *schedule, struct explore_progress *progress);

#endif
