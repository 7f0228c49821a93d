/* The driver that every seeded bug runs against. It has phases for all tiers, all ways to free,
 * threads, failures of the system, and fork. Each phase proves contents, alignment, zeroes and
 * usable sizes all the time. At the end of a phase the whole heap is proved, and no block may be
 * left over. Equal seeds give equal runs, because time passes with the operations. The phase
 * `mixed` is an exception: its threads race.
 *
 * HAK_SEEDED_PROOFS=0: does not prove the whole heap, so that an audit has to find by itself what
 * is broken.
 *
 * The driver counts its operations. If a failed proof, a crash, or the alarm that finds no
 * progress ends it, it first prints "ops N", and then dies of the signal.
 *
 * usage: seeded_driver_internal [seed [phase...]] */
#include "failures.h"
#include "one_thread.h"
#include "several_threads.h"

static const struct phase {
    const char *name;
    void (*run)(void);
} phases[] = {
    {"single", phase_single},       {"batch", phase_batch},
    {"recycle", phase_recycle},     {"zero", phase_zero},
    {"resize", phase_resize},       {"cache", phase_cache},
    {"policy", phase_policy},       {"trim", phase_trim},
    {"holes", phase_holes},         {"impossible", phase_impossible},
    {"remote", phase_remote},       {"ring", phase_ring},
    {"exits", phase_exits},         {"silent", phase_silent},
    {"free_only", phase_free_only}, {"mixed", phase_mixed},
    {"not_moved", phase_not_moved}, {"no_memory", phase_no_memory},
    {"errors", phase_errors},       {"fork", phase_fork},
    {"clock", phase_clock},         {"wait", phase_wait},
    {"kept", phase_kept},
};

static void *warm_body(void *unused) {
    (void)unused;
    hak_free(hak_malloc(100));
    step_wait();
    return NULL;
}

/* Before anything is counted, the thread library allocates what it keeps for each thread. */
static void warm_up(void) {
    EXPECT(pthread_barrier_init(&step, NULL, 4) == 0, "barrier");
    threads_run(warm_body, 4);
    pthread_barrier_destroy(&step);
    resident_mb();
    hak_malloc_trim(0);
    if (proofs) EXPECT(hak_check_heap(&baseline), "%zu equations do not hold", baseline.faults);
}

static bool wanted(const char *name, int argc, char **argv) {
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], name) == 0) return true;
    return argc <= 2;
}

int main(int argc, char **argv) {
    if (argc > 1) seed = (uint64_t)atol(argv[1]);
    const char *wish = getenv("HAK_SEEDED_PROOFS");
    proofs = wish == NULL || strcmp(wish, "0") != 0;
    sanitized = strcmp(HAK_VARIANT_NAME, "tsan") == 0;
    catch_ends();
    warm_up();
    for (size_t i = 0; i < TEST_COUNT(phases); i++) {
        if (!wanted(phases[i].name, argc, argv)) continue;
        phase_name = phases[i].name;
        phases[i].run();
        prove_empty();
    }
    return test_ok("%llu operations", (unsigned long long)atomic_load(&operations));
}
