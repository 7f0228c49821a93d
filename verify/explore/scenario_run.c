#include "core/hakmem.h"
#include "verify/audit.h"
#include "verify/explore/blocks.h"
#include "verify/explore/scenarios.h"
#include "verify/virtual/waiting.h"
#include "verify/heap_check.h"

/* ---- policies -------------------------------------------------------------------------------- */

static const struct hak_policy *policy_with(struct hak_policy *policy,
                                            struct hak_bin_bounds bounds) {
    static struct hak_policy standard;
    if (standard.bins[0].limit_max == 0) standard = *hak_policy();
    *policy = standard;
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        policy->bins[bin] = bounds;
    return policy;
}

/* A policy with which a refill carves one block, and a bin holds four blocks at most. It lies in
 * metadata, like the policies that core/ makes, so that a race on it, which must not change, is
 * found. */
static const struct hak_policy *tiny_policy(bool untouched) {
    static struct hak_policy outside; /* before there is a range, there is no metadata */
    struct hak_policy *policy = untouched ? &outside : hak_metadata_alloc(sizeof *policy);
    EXPLORE_CHECK(policy != NULL, "no memory for a policy");
    return policy_with(
        policy,
        (struct hak_bin_bounds){
            .limit_min = 2, .limit_own = 4, .limit_max = 4, .carve_min = 1, .carve_max = 1});
}

const struct hak_policy *explore_policy_roomy(void) {
    static struct hak_policy policy;
    return policy_with(&policy, (struct hak_bin_bounds){.limit_min = 2048,
                                                        .limit_own = 2048,
                                                        .limit_max = 2048,
                                                        .carve_min = 64,
                                                        .carve_max = 64});
}

/* ---- a run ----------------------------------------------------------------------------------- */

#define HEAPS_MAX (EXPLORE_FIBERS + 1) /* a thread that has ended borrows a heap */
#define GRANULES_MAX                                                                               \
    (HAK_GRANULE_FIRST +                                                                           \
     256u) /* a SuperSlab and a chunk of the pool tier for each heap, and some large blocks */

void explore_scenario_run(const struct explore_scenario *scenario,
                          const struct explore_strategy *strategy) {
    struct hak_heap_check check;
    fuzz_state_init();
    /* Level 0 in a child of fork: the books of threads that vanish do not fit the heap any more. */
    hak_audit_options.level = scenario->child ? 0 : 2;
    const struct hak_policy *policy = tiny_policy(scenario->untouched);
    if (scenario->untouched) fuzz_state_untouched();
    hak_policy_replace(policy);
    if (!scenario->untouched) fuzz_flush_all(); /* limits and batches now follow the new policy */
    if (scenario->begin != NULL) scenario->begin();
    explore_run(scenario->bodies, strategy);
    if (scenario->child) {
        blocks_forget();
        fuzz_state_drop();
        return;
    }
    EXPLORE_CHECK(hak_check_heap(&check), "%zu equations do not hold when all threads are done",
                  check.faults);
    EXPLORE_CHECK(check.heaps <= HEAPS_MAX, "%zu heaps", check.heaps);
    EXPLORE_CHECK(hak_range_top() <= GRANULES_MAX, "%u granules are in use", hak_range_top());
    blocks_give_all();
    if (scenario->untouched)
        fuzz_state_untouched_end();
    else
        fuzz_state_end(false);
}
