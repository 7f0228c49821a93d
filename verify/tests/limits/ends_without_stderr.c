/* Does something to its stderr, and ends. The program writes data of its own to FILE; nothing else
 * may be written there.
 *
 * usage: ends_without_stderr KIND [FILE] */
#include "../test.h"

#include <fcntl.h>

int close_range(unsigned first, unsigned last, int flags);

static int data_open(const char *file) {
    int data = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(data >= 0 && write(data, "data\n", 5) == 5, "cannot write %s", file);
    return data;
}

static void close_it(void) {
    close(STDERR_FILENO);
}

/* The data file gets the number of stderr, because it is the lowest free one. */
static void reuse(const char *file) {
    close(STDERR_FILENO);
    int data = data_open(file);
    if (data != STDERR_FILENO) exit(1);
}

static void close_all_and_reuse(const char *file) {
    close_range(3, ~0U, 0);
    reuse(file);
}

/* Every number below 1000 becomes the data file's, also that of HAKMEM's duplicate of stderr. */
static void reuse_all(const char *file) {
    close_range(3, ~0U, 0);
    reuse(file);
    for (int number = 3; number < 1000; number++)
        dup2(STDERR_FILENO, number);
}

static void count_files(void) {
    int count = 0;
    for (int number = 3; number < 1000; number++)
        count += fcntl(number, F_GETFD) >= 0;
    dprintf(STDOUT_FILENO, "%d files\n", count);
}

/* The program that exec begins does not have HAKMEM's duplicate of stderr. */
static void exec_and_count(const char *program) {
    unsetenv("HAKMEM_STATS");
    execl(program, program, "count_files", NULL);
}

static void become_daemon(void) {
    CHECK(daemon(1, 0) == 0, "no daemon: errno %d", errno);
}

static void stay(void) {}

int main(int count, char **arguments) {
    test_needs_hakmem();
    const char *kind = count >= 2 ? arguments[1] : "", *file = count == 3 ? arguments[2] : NULL;
    CHECK(count == 2 || count == 3, "usage: ends_without_stderr KIND [FILE]");
    if (strcmp(kind, "close_it") == 0) close_it();
    if (strcmp(kind, "reuse") == 0) reuse(file);
    if (strcmp(kind, "close_all_and_reuse") == 0) close_all_and_reuse(file);
    if (strcmp(kind, "reuse_all") == 0) reuse_all(file);
    if (strcmp(kind, "count_files") == 0) count_files();
    if (strcmp(kind, "exec_and_count") == 0) exec_and_count(arguments[0]);
    if (strcmp(kind, "become_daemon") == 0) become_daemon();
    if (strcmp(kind, "stay") == 0) stay();
    return 0;
}
