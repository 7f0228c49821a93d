/* A signal handler forks, wherever it has interrupted its thread: in the middle of malloc, free,
 * realloc, calloc or malloc_trim, with blocks of all sizes up to the largest. The process has one
 * thread; or one beside threads that allocate; or one beside threads that take its free memory away
 * meanwhile. Signals come until enough forks are done.
 *
 * The child exits; or runs a new program; or returns from the handler, so that the interrupted call
 * goes on in the child, which then uses all that the parent had; or, if the handler has interrupted
 * no malloc or free, uses all of that at once.
 *
 * arguments: the largest size, the threads (one, at-work, trim), the source of signals (timer,
 * thread, nested) */
#include "forks.h"

#include <sys/syscall.h>
#include <sys/time.h>

enum { SLOTS = 128, MINE = SIGUSR1, INNER = SIGUSR2 };

static size_t most;
static bool nested;
static volatile sig_atomic_t in_malloc, is_child;
static _Atomic size_t forks, hits; /* hits: forks that interrupted a malloc or free */
static size_t forks_wanted;
static volatile size_t changes, changes_at_fork;
static char *slots[SLOTS];
static pid_t main_thread;

/* ---- the interrupted thread ------------------------------------------------------------------ */

static void change(uint64_t *seed) {
    size_t size = test_random_below(seed, most) + 1;
    char **slot = &slots[test_random_below(seed, SLOTS)], *old = *slot;
    bool again = test_random_below(seed, 4) == 0;
    *slot = NULL;
    in_malloc = true;
    if (again) {
        old = realloc(old, size);
    } else {
        free(old);
        old = size % 2 == 0 ? malloc(size) : calloc(1, size);
    }
    if (test_random_below(seed, 200) == 0) malloc_trim(0);
    in_malloc = false;
    CHECK(old != NULL, "%zu bytes", size);
    old[0] = 1;
    old[size - 1] = 1;
    *slot = old;
    changes++;
}

/* Frees all blocks, and allocates half of them again. */
static void use_all(void) {
    uint64_t seed = most;
    alarm(FORKS_CHILD_SECONDS);
    for (size_t i = 0; i < SLOTS; i++) {
        free(slots[i]);
        slots[i] = NULL;
    }
    for (size_t i = 0; i < SLOTS / 2; i++)
        change(&seed);
    shelf_clear();
    shelf_change(&seed, 8);
    malloc_trim(0);
}

/* Enough forks are done, a quarter of them in the middle of a malloc or free. */
static bool are_done(void) {
    return forks >= forks_wanted && hits >= forks_wanted / 4;
}

/* ---- the handlers ---------------------------------------------------------------------------- */

static void child_acts(size_t number) {
    switch (number % 4) {
    case 0:
        _exit(0);
    case 1:
        execl("/bin/true", "true", (char *)NULL);
        _exit(127);
    case 2:
        is_child = true; /* the child returns from the handler */
        return;
    default:
        if (!in_malloc) use_all();
        _exit(0);
    }
}

static void fork_now(int signal) {
    bool goes_on = changes != changes_at_fork || signal == INNER;
    if (is_child || are_done() || !goes_on) return;
    changes_at_fork = changes;
    int saved = errno;
    size_t number = forks++;
    if (in_malloc) hits++;
    if (nested && signal == MINE && number % 2 == 0) raise(INNER);
    pid_t child = fork();
    if (child == 0) {
        child_acts(number);
    } else {
        child_ended_well(child, "a handler", number);
    }
    errno = saved;
}

/* ---- what sends signals ---------------------------------------------------------------------- */

/* Signals that another thread sends come at any instruction, also on one processor. */
static void *send(void *unused) {
    while (!are_done()) {
        syscall(SYS_tgkill, getpid(), main_thread, MINE);
        usleep(300);
    }
    return unused;
}

/* The timer counts the processor time of the process, so that the process makes progress on a busy
 * machine too. */
static void timer_begin(void) {
    struct itimerval often = {{0, 1000}, {0, 1000}};
    CHECK(setitimer(ITIMER_PROF, &often, NULL) == 0, "setitimer: errno %d", errno);
}

/* The new threads block all signals, so only the first thread gets them. */
static void threads_begin(const char *threads) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (strcmp(threads, "at-work") == 0)
        crowd_begin(2);
    else if (strcmp(threads, "trim") == 0)
        crowd_begin_with(1, crowd_trim);
    else
        CHECK(strcmp(threads, "one") == 0, "threads: %s?", threads);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void handlers_begin(void) {
    struct sigaction action = {.sa_handler = fork_now, .sa_flags = SA_RESTART};
    static const int signals[] = {MINE, INNER, SIGPROF};
    for (size_t i = 0; i < TEST_COUNT(signals); i++)
        CHECK(sigaction(signals[i], &action, NULL) == 0, "sigaction: errno %d", errno);
}

int main(int count, char **arguments) {
    test_needs_hakmem();
    CHECK(count == 4, "usage: %s SIZE THREADS SIGNALS", arguments[0]);
    uint64_t seed = 1;
    pthread_t sender = pthread_self();
    most = strtoul(arguments[1], NULL, 0);
    forks_wanted = test_quick() ? 24 : 120;
    nested = strcmp(arguments[3], "nested") == 0;
    main_thread = (pid_t)syscall(SYS_gettid);
    alarm(FORKS_SECONDS);
    threads_begin(arguments[2]);
    handlers_begin();
    if (strcmp(arguments[3], "timer") == 0)
        timer_begin();
    else
        sender = thread_start(send, NULL);
    while (!are_done()) {
        change(&seed);
        if (!is_child) continue;
        use_all();
        _exit(0);
    }
    if (sender != pthread_self()) thread_join(sender);
    crowd_end();
    return test_ok("%zu forks, %zu of them amidst of a malloc or free", (size_t)forks,
                   (size_t)hits);
}
