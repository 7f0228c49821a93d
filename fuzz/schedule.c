#include "fuzz/schedule.h"

#include <errno.h>
#include <string.h>

#include "verify/virtual/scheduler.h"

#define NONE FUZZ_OPS_MAX

static struct fuzz_op ops[FUZZ_OPS_MAX];
static unsigned op_count;
static void (*op_run)(const struct fuzz_op *op);
static void (*busy_changed)(unsigned busy);

static struct {
    unsigned op;          /* the operation that it is doing; NONE: none */
    unsigned next_op;     /* its first operation that has not begun */
    unsigned next_switch; /* index after the last switch that took effect in `op` */
    unsigned steps;       /* done in `op` since its beginning or last switch */
    int error;            /* its errno: the fibers share one variable */
} threads[FUZZ_THREADS];

static bool held;
static void (*held_hook)(struct explore_step *step);

static const char between; /* its address stands for the step between two operations */

unsigned fuzz_schedule_thread(void) {
    return explore_fiber();
}

/* The thread's first operation from `op` on. */
static unsigned op_find(unsigned thread, unsigned op) {
    while (op < op_count && (fuzz_is_switch(&ops[op]) || fuzz_thread_of(&ops[op]) != thread))
        op++;
    return op;
}

/* The thread whose operation is the next one in the input. */
static unsigned thread_due(void) {
    unsigned due = 0;
    for (unsigned i = 1; i < FUZZ_THREADS; i++)
        if (threads[i].next_op < threads[due].next_op) due = i;
    return due;
}

/* The thread to which a switch leads now; without a switch, the thread itself. */
static unsigned switched(unsigned thread) {
    unsigned at = threads[thread].next_switch;
    if (threads[thread].op == NONE || at >= op_count || !fuzz_is_switch(&ops[at]) ||
        threads[thread].steps < ops[at].size % FUZZ_STEPS_MAX)
        return thread;
    threads[thread].next_switch++;
    threads[thread].steps = 0;
    return fuzz_thread_of(&ops[at]);
}

static unsigned choose(const struct explore_point *point, void *context) {
    (void)context;
    bool ends = point->step == NULL || point->step->address == &between;
    if (held && point->running != EXPLORE_NOBODY) return point->running;
    unsigned wanted = ends ? thread_due() : switched(point->last_running);
    if (point->could_run >> wanted & 1) return wanted;
    if (point->running != EXPLORE_NOBODY) return point->running;
    return (unsigned)__builtin_ctz(point->could_run);
}

static void count_step(unsigned thread, struct explore_step *step, void *context) {
    (void)step;
    (void)context;
    threads[thread].steps += !held;
}

static void errno_goes_along(unsigned from, unsigned to, void *context) {
    (void)context;
    if (from != EXPLORE_NOBODY) threads[from].error = errno;
    if (to != EXPLORE_NOBODY) errno = threads[to].error;
}

void fuzz_schedule_hold(void) {
    held = true; /* taking a lock is a step even without the hook */
    held_hook = explore_step_hook;
    explore_step_hook = NULL;
}

void fuzz_schedule_go_on(void) {
    held = false;
    explore_step_hook = held_hook;
}

static void tell_busy(void) {
    unsigned busy = 0;
    for (unsigned i = 0; i < FUZZ_THREADS; i++)
        busy += threads[i].op != NONE;
    if (busy_changed != NULL) busy_changed(busy);
}

static void run_thread(void) {
    unsigned thread = explore_fiber();
    for (unsigned op; (op = threads[thread].next_op) < op_count;) {
        threads[thread].next_op = op_find(thread, op + 1);
        threads[thread].next_switch = op + 1;
        threads[thread].op = op;
        threads[thread].steps = 0;
        tell_busy();
        op_run(&ops[op]);
        threads[thread].op = NONE;
        tell_busy();
        explore_yield(EXPLORE_SYSTEM, NULL, &between, sizeof between, memory_order_relaxed);
    }
}

static void read_ops(const uint8_t *data, size_t size) {
    op_count = 0;
    if (size < sizeof(struct fuzz_header)) return;
    data += sizeof(struct fuzz_header);
    size -= sizeof(struct fuzz_header);
    op_count = size < sizeof ops ? (unsigned)(size / sizeof ops[0]) : FUZZ_OPS_MAX;
    memcpy(ops, data, op_count * sizeof ops[0]);
}

void fuzz_schedule_run(const uint8_t *data, size_t size, void (*run)(const struct fuzz_op *op),
                       void (*changed)(unsigned busy)) {
    static const struct explore_strategy strategy = {
        .choose = choose, .does = count_step, .switches = errno_goes_along};
    void (*bodies[EXPLORE_FIBERS])(void) = {0};
    bool any = false;
    read_ops(data, size);
    op_run = run;
    busy_changed = changed;
    for (unsigned i = 0; i < FUZZ_THREADS; i++) {
        threads[i].op = NONE;
        threads[i].next_op = op_find(i, 0);
        threads[i].error = 0;
        if (threads[i].next_op == op_count) continue;
        bodies[i] = run_thread;
        any = true;
    }
    if (any) explore_run(bodies, &strategy);
    tell_busy();
}

size_t fuzz_schedule_mutate(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    return seed % 3 == 0 ? fuzz_mutate_switches(data, size, max_size, seed)
                         : fuzz_mutate(data, size, max_size, seed);
}
