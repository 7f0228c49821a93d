#include "verify/virtual/scheduler.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "core/lock.h"
#include "core/os_process.h"

#if HAK_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#define STACK_BYTES ((size_t)256 << 10)
#define GUARD_BYTES ((size_t)64 << 10)
#define LOCKS       8u

struct fiber {
    ucontext_t context;
    char *stack; /* kept from one run to the next */
    /* The stack in use and its length, for AddressSanitizer; it reports those of `outside`
     * itself. */
    const void *bottom;
    size_t bytes;
    void *fake_stack;
    void (*body)(void);
    struct hak_lock *waits_for;
    const void *sleeps_on; /* the word that it sleeps on; NULL: it is awake */
    bool interrupted;      /* its first sleep ended at once, as a sleep in the system may */
    unsigned ranks;        /* ranks of the locks that it holds, one bit each */
    bool there;            /* it has a body, and has not ended */
};

static struct {
    struct fiber fibers[EXPLORE_FIBERS];
    struct fiber outside; /* the caller of explore_run */
    struct fiber *left;   /* the fiber that was left last */
    const struct explore_strategy *strategy;
    unsigned running;
    uint32_t steps;
    struct {
        struct hak_lock *lock;
        unsigned holder;
    } locks[LOCKS];
} run = {.running = EXPLORE_NOBODY};

_Noreturn void explore_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("explore: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

unsigned explore_fiber(void) {
    return run.running;
}

/* ---- fibers ---------------------------------------------------------------------------------- */

static struct fiber *fiber_at(unsigned number) {
    return number == EXPLORE_NOBODY ? &run.outside : &run.fibers[number];
}

#if HAK_ASAN
static void stack_is_left(struct fiber *from, const struct fiber *to) {
    run.left = from;
    __sanitizer_start_switch_fiber(&from->fake_stack, to->bottom, to->bytes);
}
static void stack_is_there(const struct fiber *fiber) {
    __sanitizer_finish_switch_fiber(fiber->fake_stack, &run.left->bottom, &run.left->bytes);
}
#else
static void stack_is_left(struct fiber *from, const struct fiber *to) {
    (void)from;
    (void)to;
}
static void stack_is_there(const struct fiber *fiber) {
    (void)fiber;
}
#endif

/* Switches from `from` to `to`. Returns when another fiber switches back to `from`. */
static void stack_switch(struct fiber *from, struct fiber *to) {
    stack_is_left(from, to);
    swapcontext(&from->context, &to->context);
    stack_is_there(from);
}

/* Each fiber runs its virtual thread; outside of all fibers, thread 0 runs. */
static void switch_to(unsigned next) {
    unsigned before = run.running;
    if (next == before) return;
    if (run.strategy->switches != NULL) run.strategy->switches(before, next, run.strategy->context);
    run.running = next;
    fuzz_thread_switch(next == EXPLORE_NOBODY ? 0 : next);
    int saved = errno; /* each thread has its own */
    stack_switch(fiber_at(before), fiber_at(next));
    errno = saved;
}

static const struct hak_lock *holds(unsigned fiber) {
    for (unsigned i = 0; i < LOCKS; i++)
        if (run.locks[i].lock != NULL && run.locks[i].holder == fiber) return run.locks[i].lock;
    return NULL;
}

static unsigned *holder_of(struct hak_lock *lock) {
    unsigned i = 0;
    while (i < LOCKS && run.locks[i].lock != NULL && run.locks[i].lock != lock)
        i++;
    EXPLORE_CHECK(i < LOCKS, "more than %u locks", LOCKS);
    if (run.locks[i].lock == NULL) run.locks[i].holder = EXPLORE_NOBODY;
    run.locks[i].lock = lock;
    return &run.locks[i].holder;
}

static bool could_run(unsigned number) {
    const struct fiber *fiber = &run.fibers[number];
    return fiber->there && fiber->sleeps_on == NULL &&
           (fiber->waits_for == NULL || *holder_of(fiber->waits_for) == EXPLORE_NOBODY);
}

_Noreturn static void deadlock(void) {
    for (unsigned i = 0; i < EXPLORE_FIBERS; i++) {
        const struct fiber *fiber = &run.fibers[i];
        if (!fiber->there) continue;
        if (fiber->sleeps_on != NULL)
            explore_fail("deadlock: thread %u sleeps, and nobody wakes it", i);
        unsigned holder = *holder_of(fiber->waits_for);
        explore_fail("deadlock: thread %u waits for the lock of rank %d, which %s thread %u holds",
                     i, (int)fiber->waits_for->rank, run.fibers[holder].there ? "the" : "the ended",
                     holder);
    }
    explore_fail("deadlock, and nobody waits");
}

/* Lets the strategy choose the fiber that runs next. */
static void choose(const struct explore_step *step) {
    struct explore_point point = {.number = run.steps,
                                  .running = EXPLORE_NOBODY,
                                  .last_running = (uint8_t)run.running,
                                  .step = step};
    unsigned next = EXPLORE_NOBODY;
    for (unsigned i = 0; i < EXPLORE_FIBERS; i++) {
        if (!could_run(i)) continue;
        point.could_run |= (uint8_t)(1u << i);
        next = i;
    }
    if (next == EXPLORE_NOBODY) deadlock();
    if (run.running != EXPLORE_NOBODY && could_run(run.running))
        point.running = (uint8_t)run.running;
    if (!hak_is_power_of_two(point.could_run))
        next = run.strategy->choose(&point, run.strategy->context);
    EXPLORE_CHECK(next < EXPLORE_FIBERS && could_run(next),
                  "the strategy chose thread %u, which cannot run", next);
    switch_to(next);
}

static void count_step(void) {
    EXPLORE_CHECK(++run.steps <= EXPLORE_STEPS_MAX, "livelock: %u steps, and no end",
                  EXPLORE_STEPS_MAX);
}

static void does(struct explore_step *step) {
    if (run.strategy->does != NULL) run.strategy->does(run.running, step, run.strategy->context);
}

/* A compare-exchange that is about to fail is a load. */
static void step_begins(struct explore_step *step) {
    if (run.running == EXPLORE_NOBODY) return;
    count_step();
    choose(step);
    if (step->expected != NULL &&
        memcmp((const void *)(uintptr_t)step->address, step->expected, step->size) != 0) {
        step->kind = EXPLORE_LOAD;
        step->order = step->failure;
    }
    does(step);
}

static void fiber_main(void) {
    struct fiber *fiber = &run.fibers[run.running];
    stack_is_there(fiber);
    fiber->body();
    const struct hak_lock *held = holds(run.running);
    EXPLORE_CHECK(held == NULL, "thread %u ends with the lock of rank %d", run.running,
                  (int)held->rank);
    fiber->there = false;
    count_step();
    bool any = false;
    for (unsigned i = 0; i < EXPLORE_FIBERS; i++)
        any |= run.fibers[i].there;
    if (any)
        choose(NULL);
    else
        switch_to(EXPLORE_NOBODY);
    explore_fail("a thread that has ended runs");
}

static void fiber_begin(struct fiber *fiber, void (*body)(void)) {
    char *stack = fiber->stack;
    if (stack == NULL)
        stack = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    EXPLORE_CHECK(stack != MAP_FAILED &&
                      (fiber->stack != NULL ||
                       mprotect(stack + GUARD_BYTES, STACK_BYTES, PROT_READ | PROT_WRITE) == 0),
                  "no memory for a stack");
    *fiber = (struct fiber){.stack = stack,
                            .bottom = stack + GUARD_BYTES,
                            .bytes = STACK_BYTES,
                            .body = body,
                            .there = true};
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = stack + GUARD_BYTES;
    fiber->context.uc_stack.ss_size = STACK_BYTES;
    makecontext(&fiber->context, fiber_main, 0);
}

void explore_run(void (*const bodies[EXPLORE_FIBERS])(void),
                 const struct explore_strategy *strategy) {
    memset(run.locks, 0, sizeof run.locks);
    run.strategy = strategy;
    run.steps = 0;
    for (unsigned i = 0; i < EXPLORE_FIBERS; i++)
        if (bodies[i] != NULL) fiber_begin(&run.fibers[i], bodies[i]);
    explore_step_hook = step_begins;
    count_step();
    choose(NULL);
    explore_step_hook = NULL;
}

void explore_only_me(void) {
    for (unsigned i = 0; i < EXPLORE_FIBERS; i++)
        if (i != run.running) run.fibers[i].there = false;
    for (unsigned i = 0; i < LOCKS && run.locks[i].lock != NULL; i++) {
        if (run.locks[i].holder == EXPLORE_NOBODY || run.locks[i].holder == run.running) continue;
        run.locks[i].holder = EXPLORE_NOBODY;
        run.locks[i].lock->stale = true;
    }
}

/* ---- locks, in the place of those of core/lock.c (--wrap) ------------------------------------ */

void __wrap_hak_lock_take(struct hak_lock *lock);
bool __wrap_hak_lock_try(struct hak_lock *lock);
void __wrap_hak_lock_drop(struct hak_lock *lock);
bool __wrap_hak_lock_is_mine(const struct hak_lock *lock);
void __real_hak_lock_take(struct hak_lock *lock);
bool __real_hak_lock_try(struct hak_lock *lock);
void __real_hak_lock_drop(struct hak_lock *lock);
bool __real_hak_lock_is_mine(const struct hak_lock *lock);

static bool take(struct hak_lock *lock, bool wait) {
    struct fiber *fiber = &run.fibers[run.running];
    EXPLORE_CHECK((fiber->ranks >> lock->rank) == 0,
                  "thread %u takes the lock of rank %d, and holds one of that or above",
                  run.running, (int)lock->rank);
    struct explore_step step = {
        .kind = EXPLORE_TAKE, .address = lock, .size = 1, .order = memory_order_acquire};
    count_step();
    if (wait) fiber->waits_for = lock;
    choose(&step);
    fiber->waits_for = NULL;
    bool taken = *holder_of(lock) == EXPLORE_NOBODY;
    if (taken) {
        *holder_of(lock) = run.running;
        fiber->ranks |= 1u << lock->rank;
    }
    does(&step);
    if (taken && lock->stale) {
        if (lock->rebuild != NULL) lock->rebuild();
        lock->stale = false;
    }
    return taken;
}

void __wrap_hak_lock_take(struct hak_lock *lock) {
    if (run.running == EXPLORE_NOBODY)
        __real_hak_lock_take(lock);
    else
        take(lock, true);
}

bool __wrap_hak_lock_try(struct hak_lock *lock) {
    return run.running == EXPLORE_NOBODY ? __real_hak_lock_try(lock) : take(lock, false);
}

/* In a real child of fork the other fibers do not exist, from its first step on. */
void __wrap_hak_os_fork_word_reset(void);
void __real_hak_os_fork_word_reset(void);
void __wrap_hak_locks_after_fork(void);
void __real_hak_locks_after_fork(void);

void __wrap_hak_os_fork_word_reset(void) {
    if (run.running != EXPLORE_NOBODY) explore_only_me();
    __real_hak_os_fork_word_reset();
}

void __wrap_hak_locks_after_fork(void) {
    if (run.running == EXPLORE_NOBODY)
        __real_hak_locks_after_fork();
    else if (hak_os_process_set(HAK_PROCESS_NEW, HAK_PROCESS_LOCKS))
        explore_only_me();
}

bool __wrap_hak_lock_is_mine(const struct hak_lock *lock) {
    if (run.running == EXPLORE_NOBODY) return __real_hak_lock_is_mine(lock);
    return *holder_of((struct hak_lock *)(uintptr_t)lock) == run.running;
}

void __wrap_hak_lock_drop(struct hak_lock *lock) {
    if (run.running == EXPLORE_NOBODY) {
        __real_hak_lock_drop(lock);
        return;
    }
    struct explore_step step = {
        .kind = EXPLORE_DROP, .address = lock, .size = 1, .order = memory_order_release};
    step_begins(&step);
    EXPLORE_CHECK(*holder_of(lock) == run.running,
                  "thread %u drops the lock of rank %d, which it does not hold", run.running,
                  (int)lock->rank);
    *holder_of(lock) = EXPLORE_NOBODY;
    run.fibers[run.running].ranks &= ~(1u << lock->rank);
}

/* Sleeping and waking. The system compares the word and puts the thread to sleep in one atomic
 * step. Neither call orders other accesses. */
void __wrap_hak_os_wait(_Atomic uint32_t *word, uint32_t value);
void __wrap_hak_os_wake(_Atomic uint32_t *word, int most);
void __real_hak_os_wait(_Atomic uint32_t *word, uint32_t value);
void __real_hak_os_wake(_Atomic uint32_t *word, int most);

void __wrap_hak_os_wait(_Atomic uint32_t *word, uint32_t value) {
    if (run.running == EXPLORE_NOBODY) {
        __real_hak_os_wait(word, value);
        return;
    }
    struct explore_step step = {.kind = EXPLORE_CHANGE,
                                .address = word,
                                .size = sizeof *word,
                                .order = memory_order_relaxed};
    step_begins(&step);
    struct fiber *fiber = &run.fibers[run.running];
    if (atomic_load_explicit(word, memory_order_relaxed) != value || !fiber->interrupted) {
        fiber->interrupted = true;
        return;
    }
    fiber->sleeps_on = word;
    count_step();
    choose(&step);
    does(&step);
}

void __wrap_hak_os_wake(_Atomic uint32_t *word, int most) {
    if (run.running == EXPLORE_NOBODY) {
        __real_hak_os_wake(word, most);
        return;
    }
    struct explore_step step = {.kind = EXPLORE_CHANGE,
                                .address = word,
                                .size = sizeof *word,
                                .order = memory_order_relaxed};
    step_begins(&step);
    for (unsigned i = 0; i < EXPLORE_FIBERS && most > 0; i++)
        if (run.fibers[i].sleeps_on == word) {
            run.fibers[i].sleeps_on = NULL;
            most--;
        }
}

/* The memory barrier in all threads. For virtual threads it is a step, even if the system has no
 * such barrier. */
bool __wrap_hak_os_barrier_init(void);
bool __wrap_hak_os_barrier(void);
bool __real_hak_os_barrier_init(void);
bool __real_hak_os_barrier(void);

bool __wrap_hak_os_barrier_init(void) {
    return __real_hak_os_barrier_init() || fuzz_virtual_thread != NULL;
}

bool __wrap_hak_os_barrier(void) {
    static int barrier;
    if (run.running == EXPLORE_NOBODY)
        return __real_hak_os_barrier() || fuzz_virtual_thread != NULL;
    struct explore_step step = {.kind = EXPLORE_BARRIER,
                                .address = &barrier,
                                .size = sizeof barrier,
                                .order = memory_order_seq_cst};
    step_begins(&step);
    return true;
}
