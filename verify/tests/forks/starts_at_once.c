/* Several threads start processes at the same time, while another thread allocates: by fork, vfork,
 * posix_spawn with file actions and attributes, system, popen, and clone with the parent's memory.
 * A child that shares the parent's memory until it runs its program allocates and frees there, too.
 * In such a child nothing of the parent may be rebuilt.
 *
 * argument: the way, or "mixed" for each in turn */
#include "forks.h"

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>

enum { STARTERS = 3 };

extern char **environ;

static size_t starts;
static const char *wanted;
static char self[4096];

/* ---- the ways; each process ends with status 0 ----------------------------------------------- */

static void runs_itself(void) {
    char *arguments[] = {self, (char[]){"child"}, NULL};
    execve(self, arguments, environ);
    _exit(127);
}

static pid_t by_fork(uint64_t *seed) {
    pid_t child = fork();
    if (child != 0) return child;
    child_uses_all(*seed);
    _exit(0);
}

static pid_t by_fork_and_exec(uint64_t *seed) {
    pid_t child = fork();
    if (child != 0) return child;
    shelf_change(seed, 3);
    runs_itself();
    return 0;
}

/* The parent's thread sleeps meanwhile, and the child frees and allocates as that thread. */
static pid_t by_vfork(uint64_t *seed) {
    volatile uint64_t childs_seed = *seed;
    pid_t child = vfork();
    if (child != 0) return child;
    uint64_t mine = childs_seed;
    shelf_change(&mine, 10);
    free(malloc(3000000));
    if (mine % 2 == 0) _exit(0);
    runs_itself();
    return 0;
}

static int with_parents_memory(void *seed) {
    uint64_t mine = *(uint64_t *)seed;
    shelf_change(&mine, 10);
    free(malloc(3000000));
    _exit(0);
}

/* The child's stack is a block of the allocator. */
static pid_t by_clone(uint64_t *seed) {
    enum { STACK = 256 << 10 };
    char *stack = malloc(STACK);
    CHECK(stack != NULL, "no stack");
    pid_t child = clone(with_parents_memory, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, seed);
    free(stack);
    return child;
}

static pid_t by_spawn(uint64_t *seed) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t signals;
    pid_t child;
    char *arguments[] = {self, (char[]){"child"}, NULL}, *path = malloc(200000);
    CHECK(path != NULL, "no path");
    snprintf(path, 200000, "/dev/%s", *seed % 2 == 0 ? "null" : "zero");
    sigfillset(&signals);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, path, O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, 2, 9);
    posix_spawn_file_actions_addclose(&actions, 9);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    int error = posix_spawn(&child, self, &actions, &attributes, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    free(path);
    CHECK(error == 0, "posix_spawn: %d", error);
    return child;
}

static pid_t by_system(uint64_t *seed) {
    CHECK(system(*seed % 2 == 0 ? "exit 0" : "true") == 0, "system: errno %d", errno);
    return by_fork(seed);
}

static pid_t by_popen(uint64_t *seed) {
    char line[100] = "";
    FILE *pipe = popen("echo $((6 * 7)); exit 5", "re");
    CHECK(pipe != NULL && fgets(line, sizeof line, pipe) != NULL, "popen: errno %d", errno);
    CHECK(strcmp(line, "42\n") == 0, "popen: '%s'", line);
    int status = pclose(pipe);
    CHECK(status == 5 << 8, "pclose: %#x", (unsigned)status);
    return by_fork_and_exec(seed);
}

static const struct {
    const char *name;
    pid_t (*start)(uint64_t *seed);
} ways[] = {{"fork", by_fork},   {"fork-exec", by_fork_and_exec},
            {"vfork", by_vfork}, {"clone-vm", by_clone},
            {"spawn", by_spawn}, {"system", by_system},
            {"popen", by_popen}};

/* ---- the threads ----------------------------------------------------------------------------- */

static void *start_processes(void *number) {
    uint64_t seed = (uint64_t)(size_t)number;
    size_t started = 0;
    for (size_t i = (size_t)number; started < starts; i++) {
        size_t way = i % TEST_COUNT(ways);
        if (strcmp(wanted, "mixed") != 0 && strcmp(wanted, ways[way].name) != 0) continue;
        test_random(&seed);
        child_ended_well(ways[way].start(&seed), ways[way].name, started++);
        shelf_change(&seed, 10);
    }
    return NULL;
}

int main(int count, char **arguments) {
    test_needs_hakmem();
    CHECK(count == 2, "usage: %s WAY", arguments[0]);
    uint64_t seed = 1;
    alarm(FORKS_SECONDS);
    wanted = arguments[1];
    if (strcmp(wanted, "child") == 0) {
        shelf_change(&seed, 3);
        return 0;
    }
    CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0, "readlink: errno %d", errno);
    starts = test_quick() ? 7 : 28;
    crowd_begin(1);
    pthread_t starters[STARTERS];
    for (size_t i = 0; i < STARTERS; i++)
        starters[i] = thread_start(start_processes, (void *)i);
    for (size_t i = 0; i < STARTERS; i++)
        thread_join(starters[i]);
    crowd_goes_on();
    crowd_end();
    shelf_clear();
    return test_ok("%zu processes by %s", starts * STARTERS, wanted);
}
