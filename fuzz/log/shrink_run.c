#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/log/shrink.h"

/* True for a line that reports a finding. A fuzz target prints other lines before, and so does
 * HAKMEM for an unknown option. */
static bool is_report(const char *line) {
    static regex_t pattern;
    static bool compiled;
    if (!compiled && regcomp(&pattern,
                             "^(hakmem|fuzz|explore|replay): |: runtime error: |ERROR: "
                             "(Address|Thread|Leak)Sanitizer|"
                             "WARNING: ThreadSanitizer|ERROR: libFuzzer",
                             REG_EXTENDED | REG_NOSUB) != 0)
        log_die(LOG_EXIT_USAGE, "the pattern of reports is wrong");
    compiled = true;
    return strncmp(line, "hakmem: option ", 15) != 0 && regexec(&pattern, line, 0, NULL, 0) == 0;
}

/* Replaces each number by one '#'. */
static void mask(const char *text, char *masked) {
    while (*text != '\0') {
        if (!isdigit((unsigned char)*text)) {
            *masked++ = *text++;
            continue;
        }
        *masked++ = '#';
        text += text[0] == '0' && text[1] == 'x' ? 2 + strspn(text + 2, "0123456789abcdef")
                                                 : strspn(text, "0123456789");
    }
    *masked = '\0';
}

static void read_report(FILE *said, struct way *way) {
    char line[1000];
    rewind(said);
    while (fgets(line, sizeof line, said) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (!is_report(line)) continue;
        snprintf(way->text, sizeof way->text, "%.*s", (int)sizeof way->text - 1, line);
        break;
    }
    mask(way->text, way->masked);
}

/* Turns symbolizing off: names of code locations are not compared, and finding them takes longer
 * than the rest of a run. */
static void be_brief(void) {
    static const char *const names[] = {"ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char value[500];
        const char *old = getenv(names[i]);
        snprintf(value, sizeof value, "%s%ssymbolize=0", old != NULL ? old : "",
                 old != NULL ? ":" : "");
        setenv(names[i], value, 1);
    }
}

static _Noreturn void become(const struct shrink_command *command, const char *file, int said) {
    char *arguments[sizeof command->arguments / sizeof command->arguments[0] + 2] = {0};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(said, STDOUT_FILENO);
    dup2(said, STDERR_FILENO);
    be_brief();
    for (int i = 0; i < command->count; i++)
        arguments[i] = (char *)(uintptr_t)command->arguments[i];
    arguments[command->count] = (char *)(uintptr_t)file;
    execv(arguments[0], arguments);
    dprintf(said, "replay: %s: %s\n", arguments[0], strerror(errno));
    _exit(LOG_EXIT_USAGE);
}

double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* SIGCHLD is blocked. The signal of an earlier child that was killed may still arrive, so only
 * waitpid tells whether this child has ended. */
static bool ends_within(pid_t child, double seconds, const sigset_t *sigchld, int *status) {
    double end = seconds_now() + seconds;
    while (waitpid(child, status, WNOHANG) == 0) {
        double left = end - seconds_now();
        if (left <= 0) return false;
        struct timespec limit = {.tv_sec = (time_t)left,
                                 .tv_nsec = (long)((left - (double)(time_t)left) * 1e9)};
        sigtimedwait(sigchld, NULL, &limit);
    }
    return true;
}

void way_of(const struct shrink_command *command, const char *file, double seconds,
            struct way *way) {
    FILE *said = tmpfile();
    if (said == NULL) log_die(LOG_EXIT_USAGE, "no temporary file: %s", strerror(errno));
    sigset_t sigchld;
    sigemptyset(&sigchld);
    sigaddset(&sigchld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &sigchld, NULL);
    pid_t child = fork();
    if (child < 0) log_die(LOG_EXIT_USAGE, "fork: %s", strerror(errno));
    if (child == 0) become(command, file, fileno(said));
    *way = (struct way){.status = 0};
    if (!ends_within(child, seconds, &sigchld, &way->status)) {
        kill(-child, SIGKILL);
        waitpid(child, &way->status, 0);
    }
    read_report(said, way);
    fclose(said);
}

bool way_is_failure(const struct way *way) {
    return !WIFEXITED(way->status) || WEXITSTATUS(way->status) != 0;
}

bool way_is_same(const struct way *a, const struct way *b) {
    return a->status == b->status && strcmp(a->masked, b->masked) == 0;
}
