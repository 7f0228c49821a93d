#include "verify/explore/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "verify/explore/trace.h"

#define BRANCH_MAX 32u /* deviations of one schedule of the exhaustive search */
#define HANG                                                                                       \
    20 /* seconds of processor time after which a run is killed that loops between two steps */

/* A schedule that is still to be run. */
struct branch {
    unsigned count;
    struct explore_deviation list[BRANCH_MAX];
};

enum mode { REPLAY, EXHAUSTIVE, RANDOM, PCT };

static struct {
    enum mode mode;
    const struct explore_options *options;
    struct explore_progress *progress;
    /* the run */
    const struct explore_deviation *plan;
    unsigned planned, next;      /* deviations of the plan, and the next one of them */
    unsigned preemptions, holds; /* how many a longer plan may have in addition */
    unsigned held;               /* the store that is held back at the next switch */
    bool seen;                   /* the run has reached a state that was seen before */
    /* random */
    uint64_t random;
    unsigned odds; /* at one step in so many the running fiber is left */
    unsigned priorities[EXPLORE_FIBERS], lowest;
    uint32_t change_at[16]; /* PCT */
    uint32_t length;        /* steps of the longest run so far */
    /* exhaustive */
    unsigned bound; /* the most preemptions */
    struct branch *branches;
    size_t branch_count, branch_room;
    struct {
        uint64_t state; /* 0: free */
        unsigned budget;
    } * states;
    size_t state_room; /* power of two */
} search;

/* ---- the states that were seen --------------------------------------------------------------- */

static size_t state_slot(uint64_t state) {
    size_t at = state & (search.state_room - 1);
    while (search.states[at].state != 0 && search.states[at].state != state)
        at = (at + 1) & (search.state_room - 1);
    return at;
}

static void states_grow(void) {
    size_t old_room = search.state_room;
    void *old = search.states;
    search.state_room = old_room == 0 ? 4096 : old_room * 2;
    search.states = calloc(search.state_room, sizeof *search.states);
    EXPLORE_CHECK(search.states != NULL, "no memory for %zu states", search.state_room);
    __typeof__(search.states) before = old;
    for (size_t i = 0; i < old_room; i++)
        if (before[i].state != 0) search.states[state_slot(before[i].state)] = before[i];
    free(old);
}

/* True if a run with at least this budget of preemptions has reached this state. */
static bool seen_before(uint64_t state, unsigned budget) {
    if (2 * search.progress->states >= search.state_room) states_grow();
    state |= 1;
    size_t at = state_slot(state);
    if (search.states[at].state == state && search.states[at].budget > budget) return true;
    if (search.states[at].state == 0) search.progress->states++;
    search.states[at].state = state;
    search.states[at].budget = budget + 1;
    return false;
}

/* ---- branches -------------------------------------------------------------------------------- */

static void branch_push(const struct explore_point *point, unsigned fiber, unsigned held) {
    if (search.branch_count == search.branch_room) {
        search.branch_room = search.branch_room == 0 ? 1024 : search.branch_room * 2;
        search.branches = realloc(search.branches, search.branch_room * sizeof *search.branches);
        EXPLORE_CHECK(search.branches != NULL, "no memory for %zu branches", search.branch_room);
    }
    EXPLORE_CHECK(search.planned < BRANCH_MAX, "a schedule of more than %u deviations", BRANCH_MAX);
    struct branch *branch = &search.branches[search.branch_count++];
    branch->count = search.planned + 1;
    if (search.planned > 0) memcpy(branch->list, search.plan, search.planned * sizeof *search.plan);
    branch->list[search.planned] =
        (struct explore_deviation){.number = point->number,
                                   .held = (uint16_t)held,
                                   .fiber = (uint8_t)fiber,
                                   .costs = point->running != EXPLORE_NOBODY};
}

/* Holds back each store in turn. Stores to words that no other fiber accesses are left out: nobody
 * could see that they are late. */
static void branch_holds(const struct explore_point *point, unsigned fiber) {
    for (unsigned held = 1; held <= explore_stores_count(); held++)
        if (explore_trace_others(point->last_running, explore_stores_address(held)))
            branch_push(point, fiber, held);
}

/* True for a step that no other fiber can observe: a switch before the fiber's next step has the
 * same effect as a switch here. */
static bool is_private(const struct explore_point *point) {
    const struct explore_step *step = point->step;
    if (point->running == EXPLORE_NOBODY || step == NULL) return false;
    bool drains = step->order == memory_order_seq_cst ||
                  (step->kind != EXPLORE_LOAD && step->kind != EXPLORE_STORE);
    return !drains && !explore_trace_others(point->running, (uintptr_t)step->address);
}

/* Adds a branch for each choice but the chosen one, unless the state was seen before. */
static void branch(const struct explore_point *point, unsigned chosen) {
    if (search.seen || is_private(point)) return;
    uint64_t state = explore_trace_state(point->running) + search.holds;
    if (seen_before(state, search.preemptions)) {
        search.seen = true;
        search.progress->pruned++;
        return;
    }
    if (point->running != EXPLORE_NOBODY && search.preemptions == 0) return;
    for (unsigned fiber = 0; fiber < EXPLORE_FIBERS; fiber++) {
        if ((point->could_run >> fiber & 1) == 0) continue;
        if (fiber != chosen) branch_push(point, fiber, 0);
        if (fiber != point->last_running && search.holds > 0) branch_holds(point, fiber);
    }
}

/* ---- chance ---------------------------------------------------------------------------------- */

static uint64_t chance(uint64_t below) {
    search.random ^= search.random << 13;
    search.random ^= search.random >> 7;
    search.random ^= search.random << 17;
    return (search.random >> 11) % below;
}

static unsigned any_of(unsigned fibers) {
    for (uint64_t skip = chance((uint64_t)__builtin_popcount(fibers)); skip > 0; skip--)
        fibers &= fibers - 1;
    return (unsigned)__builtin_ctz(fibers);
}

static unsigned first_in_priority(unsigned fibers) {
    unsigned best = (unsigned)__builtin_ctz(fibers);
    for (unsigned fiber = best + 1; fiber < EXPLORE_FIBERS; fiber++)
        if ((fibers >> fiber & 1) != 0 && search.priorities[fiber] > search.priorities[best])
            best = fiber;
    return best;
}

static unsigned choose_by_chance(const struct explore_point *point) {
    if (search.mode == RANDOM) {
        if (point->running != EXPLORE_NOBODY && chance(search.odds) != 0) return point->running;
        return any_of(point->could_run);
    }
    for (unsigned i = 0; i + 1 < search.options->depth; i++)
        if (search.change_at[i] == point->number && point->running != EXPLORE_NOBODY)
            search.priorities[point->running] = --search.lowest;
    return first_in_priority(point->could_run);
}

static unsigned hold_by_chance(const struct explore_point *point, unsigned fiber) {
    unsigned count = explore_stores_count();
    if (fiber == point->last_running || count == 0 || chance(4) != 0) return 0;
    unsigned held = (unsigned)chance(count) + 1;
    return explore_trace_others(point->last_running, explore_stores_address(held)) ? held : 0;
}

/* ---- a run ----------------------------------------------------------------------------------- */

static unsigned by_itself(const struct explore_point *point) {
    return point->running != EXPLORE_NOBODY ? point->running
                                            : (unsigned)__builtin_ctz(point->could_run);
}

static void misfit(const struct explore_deviation *wanted, const char *why) {
    fprintf(stderr, "explore: the schedule does not fit: %s, at step %u\n", why, wanted->number);
    _exit(EXPLORE_STATUS_MISFIT);
}

static unsigned planned_fiber(const struct explore_point *point) {
    const struct explore_deviation *wanted = &search.plan[search.next++];
    if ((point->could_run >> wanted->fiber & 1) == 0) misfit(wanted, "the thread cannot run");
    bool no_store = wanted->fiber == point->last_running || wanted->held > explore_stores_count();
    if (wanted->held != 0 && no_store) misfit(wanted, "there is no such store to hold back");
    search.held = wanted->held;
    return wanted->fiber;
}

static void record(const struct explore_point *point, unsigned fiber) {
    struct explore_schedule *schedule = &search.progress->schedule;
    if (fiber == by_itself(point) && search.held == 0) return;
    EXPLORE_CHECK(schedule->count < EXPLORE_DEVIATIONS_MAX, "a schedule of more than %u deviations",
                  EXPLORE_DEVIATIONS_MAX);
    schedule->list[schedule->count] =
        (struct explore_deviation){.number = point->number,
                                   .held = (uint16_t)search.held,
                                   .fiber = (uint8_t)fiber,
                                   .costs = point->running != EXPLORE_NOBODY};
    schedule->count++;
}

static unsigned choose(const struct explore_point *point, void *context) {
    (void)context;
    unsigned fiber = by_itself(point);
    search.held = 0;
    if (search.next < search.planned && search.plan[search.next].number < point->number)
        misfit(&search.plan[search.next], "there is nothing to choose");
    if (search.next < search.planned && search.plan[search.next].number == point->number) {
        fiber = planned_fiber(point);
    } else if (search.mode == EXHAUSTIVE && search.next == search.planned) {
        branch(point, fiber);
    } else if (search.mode == RANDOM || search.mode == PCT) {
        fiber = choose_by_chance(point);
        search.held = hold_by_chance(point, fiber);
    }
    record(point, fiber);
    if (search.length < point->number) search.length = point->number;
    return fiber;
}

static void does(unsigned fiber, struct explore_step *step, void *context) {
    (void)context;
    bool own = step->kind == EXPLORE_STORE && !explore_is_shared((uintptr_t)step->address);
    if (!own) explore_stores_step(step);
    explore_trace_step(fiber, step);
}

static void switches(unsigned from, unsigned to, void *context) {
    (void)context;
    if (from != EXPLORE_NOBODY) {
        if (search.held != 0) explore_trace_differs(from, search.held);
        explore_stores_leave(from, search.held);
        search.held = 0;
    }
    for (unsigned fiber = 0; fiber < EXPLORE_FIBERS; fiber++)
        if (fiber == to || to == EXPLORE_NOBODY) explore_stores_return(fiber);
}

static void plain_access(void *address, size_t size, bool is_write) {
    unsigned fiber = explore_fiber();
    if (fiber == EXPLORE_NOBODY || !explore_is_shared((uintptr_t)address)) return;
    explore_trace_access(fiber, (uintptr_t)address, size);
    if (!search.options->no_races) explore_trace_race(fiber, (uintptr_t)address, size, is_write);
    if (is_write) explore_stores_write(address, size);
}

static void run_one(const struct explore_scenario *scenario, const struct explore_deviation *plan,
                    unsigned planned) {
    static const struct explore_strategy strategy = {
        .choose = choose, .does = does, .switches = switches};
    search.plan = plan;
    search.planned = planned;
    search.next = 0;
    search.seen = false;
    search.progress->schedule.count = 0;
    setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = HANG}, NULL);
    alarm(60 * HANG); /* for a run that sleeps for ever */
    explore_trace_begin();
    explore_stores_begin(search.options->memory);
    explore_access_hook = plain_access;
    explore_scenario_run(scenario, &strategy);
    explore_access_hook = NULL;
    if (search.next < search.planned) misfit(&search.plan[search.next], "the run has ended");
    search.progress->runs++;
}

/* ---- searches -------------------------------------------------------------------------------- */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void begin(enum mode mode, const struct explore_options *options,
                  struct explore_progress *progress) {
    search.mode = mode;
    search.options = options;
    search.progress = progress;
    search.random = options->seed * 0x9e3779b97f4a7c15u | 1;
}

static bool exhaust(const struct explore_scenario *scenario, double end) {
    search.branch_count = 0;
    struct branch branch = {.count = 0};
    do {
        search.preemptions = search.bound;
        search.holds = search.options->memory != EXPLORE_SC;
        for (unsigned i = 0; i < branch.count; i++) {
            search.preemptions -= branch.list[i].costs;
            search.holds -= branch.list[i].held != 0;
        }
        run_one(scenario, branch.list, branch.count);
        if (end != 0 && now() >= end) return false;
        if (search.branch_count > 0) branch = search.branches[search.branch_count - 1];
    } while (search.branch_count-- > 0);
    return true;
}

static void states_forget(void) {
    free(search.states);
    search.states = NULL;
    search.state_room = 0;
    search.progress->states = 0;
}

/* The search learns which words are shared. If it has learnt of another one, it begins again, for
 * it may have left out switches at steps on that word. */
static bool exhaust_by_preemptions(const struct explore_scenario *scenario, double end) {
    bool whole = true;
    for (search.bound = 0; search.bound <= search.options->preemptions && whole; search.bound++) {
        size_t shared;
        do {
            shared = explore_trace_shared_words();
            states_forget();
            whole = exhaust(scenario, end);
        } while (whole && explore_trace_shared_words() != shared);
    }
    return whole;
}

bool explore_exhaustive(const struct explore_scenario *scenario,
                        const struct explore_options *options, double seconds,
                        struct explore_progress *progress) {
    double end = seconds == 0 ? 0 : now() + seconds;
    struct explore_options strict = *options;
    strict.memory = EXPLORE_SC;
    begin(EXHAUSTIVE, &strict, progress);
    bool whole = exhaust_by_preemptions(scenario, end);
    if (options->memory != EXPLORE_SC && whole) { /* the shared words are known by now */
        search.options = options;
        whole = exhaust_by_preemptions(scenario, end);
    }
    progress->done = true;
    return whole;
}

void explore_random(const struct explore_scenario *scenario, const struct explore_options *options,
                    double seconds, struct explore_progress *progress) {
    double end = now() + seconds;
    begin(RANDOM, options, progress);
    do {
        search.odds = 1u << chance(7);
        run_one(scenario, NULL, 0);
    } while (now() < end);
    progress->done = true;
}

void explore_pct(const struct explore_scenario *scenario, const struct explore_options *options,
                 double seconds, struct explore_progress *progress) {
    double end = now() + seconds;
    begin(PCT, options, progress);
    do {
        for (unsigned i = 0; i < EXPLORE_FIBERS; i++)
            search.priorities[i] = 1u << 16 | (unsigned)chance(1u << 16);
        search.lowest = 1u << 16;
        for (unsigned i = 0; i < sizeof search.change_at / sizeof search.change_at[0]; i++)
            search.change_at[i] = (uint32_t)chance(search.length + 1u);
        run_one(scenario, NULL, 0);
    } while (now() < end);
    progress->done = true;
}

void explore_replay(const struct explore_scenario *scenario, const struct explore_options *options,
                    const struct explore_schedule *schedule, struct explore_progress *progress) {
    begin(REPLAY, options, progress);
    run_one(scenario, schedule->list, schedule->count);
    progress->done = true;
}
