/* run_program LIBRARY|- COMMAND ARGS...
 *
 * Runs a command with the library preloaded and writes to stderr what the command and its children
 * needed. Real programs do not measure themselves, so it measures from outside:
 *
 *   Seconds       wall-clock time, from before the start of the command to after its end
 *   Peak memory   of the largest process
 *   Minor faults  of all processes that were waited for
 *   Mappings      the largest number seen in one process; sampled twenty times a second
 *   Allocator     the library, if a process was seen with it
 *
 * The command runs in a process group of its own, whose number is this program's. The exit status
 * is that of the command, or 128 + the signal that ended it. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "bench/bench.h"

/* The first samples follow each other sooner, because a run may be short. */
enum { PAUSE_FIRST_NS = 2 * 1000 * 1000, PAUSE_NS = 50 * 1000 * 1000 };

static const char *library;
static unsigned long mappings;
static bool library_seen;

static void look_at(const char *process) {
    char line[4352], path[64];
    unsigned long lines = 0;
    snprintf(path, sizeof path, "/proc/%.20s/maps", process);
    FILE *maps = fopen(path, "re");
    if (maps == NULL) return; /* the process has ended */
    while (fgets(line, sizeof line, maps) != NULL) {
        lines++;
        if (!library_seen && strstr(line, library) != NULL) library_seen = true;
    }
    fclose(maps);
    if (lines > mappings) mappings = lines;
}

/* Samples the command's processes: those in the group of this program, except itself. */
static void look_at_all(void) {
    DIR *all = opendir("/proc");
    if (all == NULL) return;
    for (struct dirent *entry; (entry = readdir(all)) != NULL;) {
        pid_t process = (pid_t)strtol(entry->d_name, NULL, 10);
        if (process > 0 && process != getpid() && getpgid(process) == getpgrp())
            look_at(entry->d_name);
    }
    closedir(all);
}

static _Noreturn void start(char **command) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (strcmp(library, "-") == 0) {
        unsetenv("LD_PRELOAD");
    } else {
        setenv("LD_PRELOAD", library, 1);
    }
    execvp(command[0], command);
    fprintf(stderr, "%s: %s\n", command[0], strerror(errno));
    _exit(127);
}

static int wait_and_look(pid_t child, struct rusage *usage) {
    struct timespec pause = {.tv_sec = 0, .tv_nsec = PAUSE_FIRST_NS};
    sigset_t ended;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    int status = 0;
    while (wait4(child, &status, WNOHANG, usage) == 0) {
        if (sigtimedwait(&ended, NULL, &pause) >= 0) continue;
        look_at_all();
        pause.tv_nsec = pause.tv_nsec * 2 < PAUSE_NS ? pause.tv_nsec * 2 : PAUSE_NS;
    }
    return status;
}

int main(int argc, char **argv) {
    if (argc < 3) bench_die("usage: run_program LIBRARY|- COMMAND ARGS...");
    library = argv[1];
    setpgid(0, 0);
    sigset_t ended;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ended, NULL);
    struct rusage usage = {0};
    double began = bench_now();
    pid_t child = fork();
    if (child < 0) bench_die("fork failed");
    if (child == 0) start(argv + 2);
    int status = wait_and_look(child, &usage);
    double seconds = bench_now() - began;
    fprintf(stderr, "Seconds = %.6f\nPeak memory = %ld KiB\nMinor faults = %ld\nMappings = %lu\n",
            seconds, usage.ru_maxrss, usage.ru_minflt, mappings);
    fprintf(stderr, "Allocator = %s\n", library_seen ? library : "-");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
