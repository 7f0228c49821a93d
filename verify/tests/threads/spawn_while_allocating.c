/* fork and exec, vfork and exec, and posix_spawn in a program whose threads allocate. The new
 * program is this one again; with an argument it only allocates a little. */
#include "threads.h"

#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static _Atomic bool stop;

static void churn(uint64_t *seed) {
    struct letter *letters[50];
    for (size_t i = 0; i < TEST_COUNT(letters); i++)
        letters[i] = letter_new(letter_size(seed), i);
    for (size_t i = 0; i < TEST_COUNT(letters); i++)
        letter_free(letters[i]);
}

static void *work(void *argument) {
    uint64_t seed = (uint64_t)(size_t)argument;
    while (!stop)
        churn(&seed);
    return NULL;
}

static pid_t start(size_t how, char **arguments) {
    pid_t process = -1;
    switch (how % 3) {
    case 0:
        process = fork();
        break;
    case 1:
        process = vfork();
        break;
    default:
        return posix_spawn(&process, "/proc/self/exe", NULL, NULL, arguments, environ) == 0
                   ? process
                   : -1;
    }
    if (process != 0) return process;
    execve("/proc/self/exe", arguments, environ);
    _exit(127);
}

int main(int count, char **arguments) {
    test_needs_hakmem();
    uint64_t seed = 1;
    if (count == 2) {
        churn(&seed);
        return 0;
    }
    pthread_t threads[3];
    for (size_t i = 0; i < TEST_COUNT(threads); i++)
        threads[i] = thread_start(work, (void *)i);
    size_t programs = test_quick() ? 60 : 300;
    char *child_arguments[] = {arguments[0], (char[]){"child"}, NULL};
    for (size_t i = 0; i < programs; i++) {
        pid_t process = start(i, child_arguments);
        CHECK(process > 0, "start %zu: errno %d", i, errno);
        churn(&seed);
        int status = 0;
        CHECK(waitpid(process, &status, 0) == process && status == 0,
              "program %zu ends with status %#x", i, (unsigned)status);
    }
    stop = true;
    for (size_t i = 0; i < TEST_COUNT(threads); i++)
        thread_join(threads[i]);
    return test_ok("%zu programs started", programs);
}
