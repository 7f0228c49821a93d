/* Handlers of fork that were registered before the allocator's: they run last before the fork and
 * first after it.
 *
 * usage: handlers_before_ours KIND
 *   stacks-given-up   the child's handler begins and joins a thread, and so libc unmaps stacks of
 *                     threads that are gone
 *   error             a handler frees a block twice, and the handler of SIGABRT forks: its child
 *                     works
 *   late-error        without a fork: the thread of an untracked heap frees a block twice, and the
 *                     handler of SIGABRT allocates
 *   two-at-once       one thread is in the handler while another one forks: the child has the
 *                     memory of the first thread, too */
#include "forks.h"

#include <limits.h>
#include <malloc.h>
#include <string.h>

enum { SLEEPERS = 8, BLOCKS = 30000, SIZE = 4000, ROUNDS = PTHREAD_DESTRUCTOR_ITERATIONS - 1 };
#define STACK ((size_t)16 << 20) /* libc keeps up to 40 MiB of stacks */

static const char *kind;
static _Atomic bool armed, is_there, goes_on;
static _Atomic int allocated;
static pthread_key_t key;
static void *blocks[BLOCKS];

static bool kind_is(const char *name) {
    return strcmp(kind, name) == 0;
}

static void *nothing(void *unused) {
    return unused;
}

static void free_twice(void) {
    char *volatile block = (char *)malloc(100);
    free(block);
    free(block);
}

static void before_fork(void) {
    if (!atomic_exchange(&armed, false)) return;
    if (kind_is("error")) free_twice();
    if (!kind_is("two-at-once")) return;
    atomic_store(&is_there, true);
    while (!atomic_load(&goes_on))
        usleep(1000);
}

static void in_child(void) {
    if (kind_is("stacks-given-up")) thread_run(nothing, NULL);
}

/* Runs before the constructors of preloaded libraries. */
static void register_first(int count, char **arguments, char **environment) {
    (void)environment;
    kind = count > 1 ? arguments[1] : "";
    CHECK(pthread_atfork(before_fork, NULL, in_child) == 0, "pthread_atfork");
}
__attribute__((section(".preinit_array"), used)) static void (*first)(int, char **,
                                                                      char **) = register_first;

/* ---- threads that are gone, whose stacks libc gives up --------------------------------------- */

static void *sleeper(void *unused) {
    free(malloc(100));
    atomic_fetch_add(&allocated, 1);
    pause();
    return unused;
}

static void stacks_given_up(void) {
    pthread_attr_t large;
    pthread_t thread;
    pthread_attr_init(&large);
    pthread_attr_setstacksize(&large, STACK);
    for (int i = 0; i < SLEEPERS; i++)
        CHECK(pthread_create(&thread, &large, sleeper, NULL) == 0, "thread %d", i);
    while (atomic_load(&allocated) < SLEEPERS)
        usleep(1000);
    pid_t child = fork();
    if (child == 0) {
        child_uses_all(1);
        _exit(0);
    }
    child_ended_well(child, kind, 1);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void says(const char *text) {
    CHECK(write(STDOUT_FILENO, text, strlen(text)) > 0, "write");
}

static void on_abort(int signal) {
    (void)signal;
    void *block = malloc(1000);
    says(block != NULL ? "allocates\n" : "no memory\n");
    free(block);
    if (!kind_is("error")) return;
    pid_t child = fork();
    if (child == 0) _exit(0);
    int status = -1;
    waitpid(child, &status, 0);
    says(status == 0 ? "forks\n" : "the child died\n");
}

static void error_in_handler(void) {
    free(malloc(10));
    atomic_store(&armed, true);
    if (fork() == 0) _exit(0);
}

static void late(void *value) {
    static int round;
    if (++round < ROUNDS)
        pthread_setspecific(key, value);
    else
        free_twice();
}

static void *ends_late(void *value) {
    free(malloc(10));
    pthread_setspecific(key, value);
    return NULL;
}

static void late_error(void) {
    free(malloc(10));
    CHECK(pthread_key_create(&key, late) == 0, "no key");
    thread_run(ends_late, &key);
}

/* ---- two threads fork ------------------------------------------------------------------------ */

static void *allocates_and_forks(void *unused) {
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = memset(malloc(SIZE), 1, SIZE);
    atomic_store(&armed, true);
    pid_t child = fork(); /* waits in the handler */
    if (child == 0) _exit(0);
    child_ended_well(child, kind, 1);
    return unused;
}

static void two_at_once(void) {
    pthread_t thread = thread_start(allocates_and_forks, NULL);
    while (!atomic_load(&is_there))
        usleep(1000);
    pid_t child = fork();
    if (child == 0) {
        for (size_t i = 0; i < BLOCKS; i++)
            free(blocks[i]);
        malloc_trim(0);
        size_t resident = process_resident();
        CHECK(resident < BLOCKS * (size_t)SIZE / 4, "%zu MiB are resident", resident / MIB);
        _exit(0);
    }
    child_ended_well(child, kind, 2);
    atomic_store(&goes_on, true);
    thread_join(thread);
}

int main(void) {
    alarm(FORKS_SECONDS);
    signal(SIGABRT, on_abort);
    if (kind_is("stacks-given-up")) stacks_given_up();
    if (kind_is("error")) error_in_handler();
    if (kind_is("late-error")) late_error();
    if (kind_is("two-at-once")) two_at_once();
    return test_ok("%s", kind);
}
