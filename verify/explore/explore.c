/* Explores the interleavings of scenarios (scenarios.h) of the production code. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "verify/explore/scenarios.h"
#include "verify/explore/schedule.h"

static uint64_t seed = 1;

static unsigned random_choice(const struct explore_point *point, void *context) {
    (void)context;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    if (point->running != EXPLORE_NOBODY && (seed >> 33) % 8 != 0) return point->running;
    unsigned choice = (unsigned)(seed >> 40) % (unsigned)__builtin_popcount(point->could_run);
    unsigned left = point->could_run;
    while (choice-- > 0)
        left &= left - 1;
    return (unsigned)__builtin_ctz(left);
}

int main(int argc, char **argv) {
    const struct explore_strategy strategy = {.choose = random_choice};
    const struct explore_scenario *scenario =
        argc > 1 ? explore_scenario_find(argv[1]) : &explore_scenarios[0];
    if (scenario == NULL) return 2;
    clock_t begin = clock();
    unsigned runs = argc > 2 ? (unsigned)atoi(argv[2]) : 10000;
    for (unsigned i = 0; i < runs; i++)
        explore_scenario_run(scenario, &strategy);
    printf("%s: %u runs, %.1f us each\n", scenario->name, runs,
           (double)(clock() - begin) / CLOCKS_PER_SEC * 1e6 / runs);
    return 0;
}
