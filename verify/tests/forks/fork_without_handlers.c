/* Children that are made without fork(), so that no fork handler runs: by _Fork, by libc's clone,
 * and by the system call clone. The children free the parent's blocks and allocate, also from
 * threads of their own. The parent has one thread, or also threads that allocate, or threads that
 * take each other's free memory away (malloc_trim).
 *
 * arguments: the way, the parent's threads */
#include "forks.h"

#include <sched.h>
#include <sys/syscall.h>

static size_t number;
static bool with_threads;

static int child(void *unused) {
    (void)unused;
    child_uses_all(number);
    if (with_threads) child_threads_use_all();
    child_uses_all(number);
    _exit(0);
}

static pid_t by_libcs_clone(void) {
    enum { STACK = 1 << 20 };
    static char *stack;
    if (stack == NULL) stack = process_map(STACK);
    return clone(child, stack + STACK, SIGCHLD, NULL);
}

static pid_t by_clone(void) {
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static pid_t by_Fork(void) {
    typedef pid_t fork_function(void);
    fork_function *function =
        (fork_function *)(uintptr_t)dlsym(RTLD_DEFAULT, "_Fork"); /* since glibc 2.34 */
    return function != NULL ? function() : by_clone();
}

static const struct {
    const char *name;
    pid_t (*make)(void);
} ways[] = {{"_Fork", by_Fork}, {"clone", by_libcs_clone}, {"system-call", by_clone}};

static void parent_begins(const char *threads) {
    if (strcmp(threads, "at-work") == 0)
        crowd_begin(3);
    else if (strcmp(threads, "trim") == 0)
        crowd_begin_with(2, crowd_trim);
    else
        CHECK(strcmp(threads, "one") == 0, "threads: %s?", threads);
}

int main(int count, char **arguments) {
    test_needs_hakmem();
    CHECK(count == 3, "usage: %s WAY THREADS", arguments[0]);
    size_t way = 0, forks = test_quick() ? 3 : 25;
    while (way < TEST_COUNT(ways) && strcmp(arguments[1], ways[way].name) != 0)
        way++;
    CHECK(way < TEST_COUNT(ways), "way: %s?", arguments[1]);
    alarm(FORKS_SECONDS);
    uint64_t seed = 1;
    shelf_change(&seed, SHELF);
    parent_begins(arguments[2]);
    for (number = 0; number < forks; number++) {
        with_threads = number % 3 == 0;
        pid_t process = ways[way].make();
        if (process == 0) child(NULL);
        shelf_change(&seed, 20);
        child_ended_well(process, arguments[1], number);
    }
    crowd_end();
    shelf_clear();
    return test_ok("%zu children by %s", forks, arguments[1]);
}
