/* Four threads allocate all the time. One of them also forks, one starts programs by popen, and one
 * reads and flushes streams. The first thread of the process sends them signals, except to the
 * thread that starts programs. The handlers count, or fork. The children of the thread that forks
 * allocate, read a stream and leave by exit(). */
#include "forks.h"

#include <sys/syscall.h>

enum { WORKERS = 4 };

static _Atomic size_t forks, handled;
static size_t forks_wanted;
static _Atomic pid_t numbers[WORKERS];

static void count_only(int signal) {
    (void)signal;
    handled++;
}

static void fork_seldom(int signal) {
    (void)signal;
    int saved = errno;
    if (handled++ % 4 == 0) {
        pid_t child = fork();
        if (child == 0) _exit(0);
        child_ended_well(child, "a handler", forks++);
    }
    errno = saved;
}

static void read_stream(void) {
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen("/proc/self/status", "r");
    CHECK(file != NULL, "fopen: errno %d", errno);
    while (getline(&line, &room, file) >= 0)
        continue;
    free(line);
    fclose(file);
}

static void fork_once(size_t number) {
    pid_t child = fork();
    if (child == 0) {
        alarm(FORKS_CHILD_SECONDS);
        read_stream();
        child_uses_all(number);
        exit(0);
    }
    child_ended_well(child, "a thread", forks++);
}

static void run_program(void) {
    char text[16];
    FILE *pipe = popen("exit 0", "re");
    CHECK(pipe != NULL, "popen: errno %d", errno);
    while (fgets(text, sizeof text, pipe) != NULL)
        continue;
    pclose(pipe);
}

static void *work(void *index) {
    size_t number = (size_t)index;
    uint64_t seed = number;
    numbers[number] = (pid_t)syscall(SYS_gettid);
    while (!crowd_ends) {
        shelf_change(&seed, 3);
        if (number == 0) fork_once(forks);
        if (number == 1) run_program();
        if (number == 2) read_stream();
        if (number == 2) fflush(NULL);
        crowd_rounds[number]++;
    }
    return NULL;
}

static void handle(int signal, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK(sigaction(signal, &action, NULL) == 0, "sigaction: errno %d", errno);
}

int main(void) {
    test_needs_hakmem();
    forks_wanted = test_quick() ? 30 : 150;
    alarm(FORKS_SECONDS);
    handle(SIGUSR1, count_only);
    handle(SIGUSR2, fork_seldom);
    crowd_begin_with(WORKERS, work);
    for (size_t i = 0; forks < forks_wanted || handled < forks_wanted; i++) {
        /* Not to the thread that starts programs: its child may not have the handlers any more. */
        size_t number = i % WORKERS;
        int signal = number == 3 && i % 8 == 3 ? SIGUSR2 : SIGUSR1;
        if (number != 1) syscall(SYS_tgkill, getpid(), numbers[number], signal);
        usleep(300);
    }
    crowd_end();
    shelf_clear();
    return test_ok("%zu forks, %zu signals", (size_t)forks, (size_t)handled);
}
