/* Makes a log or an input of a fuzz target as small as possible while a program still fails on it
 * in the same way: with the same status, and the same first line of its report except for the
 * numbers in it.
 *
 *   shrink [-o OUT] --replay PROGRAM [--threads real|virtual] FILE    FILE is an operation log
 *   shrink [-o OUT] --target PROGRAM [--header N] [--unit N] FILE     FILE is an input: a header,
 *                                                                     then units of N bytes
 *
 * The result is written to OUT, by default FILE.shrunk. For a log, OUT.c is the same as a
 * stand-alone program. During the search OUT has the smallest result so far. Status 2: FILE does
 * not fail, or cannot be read. */
#include "fuzz/log/shrink.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define REPLAYS       10
#define SECONDS_FIRST 60.0 /* limit of the first run and of the final runs */
#define HEADER        4    /* bytes, in most targets: fuzz/run.h */
#define UNIT          6

struct options {
    const char *out, *replay, *target, *threads, *file;
    size_t header, unit;
};

static _Noreturn void usage(void) {
    log_die(LOG_EXIT_USAGE,
            "usage: shrink [-o OUT] --replay PROGRAM [--threads real|virtual] FILE, or "
            "[-o OUT] --target PROGRAM [--header N] [--unit N] FILE");
}

static size_t number_of(const char *text) {
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (*end != '\0' || number > 4096) usage();
    return number;
}

static void read_options(struct options *options, int argc, char **argv) {
    static const struct option names[] = {
        {"replay", required_argument, NULL, 'r'},  {"target", required_argument, NULL, 't'},
        {"threads", required_argument, NULL, 'T'}, {"header", required_argument, NULL, 'h'},
        {"unit", required_argument, NULL, 'u'},    {0}};
    *options = (struct options){.threads = "real", .header = HEADER, .unit = UNIT};
    for (int option; (option = getopt_long(argc, argv, "o:", names, NULL)) != -1;) {
        if (option == 'o')
            options->out = optarg;
        else if (option == 'r')
            options->replay = optarg;
        else if (option == 't')
            options->target = optarg;
        else if (option == 'T')
            options->threads = optarg;
        else if (option == 'h')
            options->header = number_of(optarg);
        else if (option == 'u')
            options->unit = number_of(optarg);
        else
            usage();
    }
    if (optind + 1 != argc || (options->replay == NULL) == (options->target == NULL) ||
        options->unit == 0)
        usage();
    options->file = argv[optind];
}

/* Finds out how FILE fails. Returns the time limit of a candidate in seconds: a few times as long
 * as FILE takes. */
static double wanted_way(const struct options *options, const struct shrink_command *command,
                         struct way *wanted) {
    double begin = seconds_now();
    way_of(command, options->file, SECONDS_FIRST, wanted);
    double taken = seconds_now() - begin;
    if (WIFEXITED(wanted->status) && options->replay != NULL &&
        WEXITSTATUS(wanted->status) == LOG_EXIT_USAGE)
        log_die(LOG_EXIT_USAGE, "%s: %s", options->file, wanted->text);
    if (!way_is_failure(wanted))
        log_die(LOG_EXIT_USAGE, "%s: does not fail: nothing to shrink", options->file);
    if (WIFSIGNALED(wanted->status) && wanted->text[0] == '\0')
        snprintf(wanted->text, sizeof wanted->text, "%s", strsignal(WTERMSIG(wanted->status)));
    fprintf(stderr, "shrink: %s: %s\n", options->file, wanted->text);
    return taken < SECONDS_FIRST ? 5 * taken + 1 : SECONDS_FIRST;
}

static void tell_result(const struct shrink_form *form, const struct shrink_units *units,
                        size_t count_before, const struct shrink_command *command,
                        const struct way *wanted, const char *out) {
    int same = 0;
    for (int i = 0; i < REPLAYS; i++) {
        struct way way;
        way_of(command, out, SECONDS_FIRST, &way);
        same += way_is_same(&way, wanted);
    }
    printf("shrink: %s: from %zu to %zu operations; %d of %d runs fail in the same way: %s\n", out,
           count_before - form->fixed, units->count - form->fixed, same, REPLAYS, wanted->text);
}

int main(int argc, char **argv) {
    struct options options;
    struct shrink_units units;
    struct way wanted;
    read_options(&options, argc, argv);
    const struct shrink_form *form = options.replay != NULL ? &shrink_log_form : &shrink_input_form;
    struct shrink_command command = {.arguments = {options.target}, .count = 1};
    if (options.replay != NULL) {
        command = (struct shrink_command){
            .arguments = {options.replay, "--threads", options.threads}, .count = 3};
        shrink_log_read(options.file, &units);
    } else {
        shrink_input_read(options.file, options.header, options.unit, &units);
    }
    char *out = NULL, *program = NULL;
    if (options.out == NULL && asprintf(&out, "%s.shrunk", options.file) < 0) usage();
    if (options.out != NULL) out = strdup(options.out);
    size_t count_before = units.count;
    double seconds = wanted_way(&options, &command, &wanted);
    if (!shrink_search(form, &units, &command, &wanted, seconds, out))
        log_die(LOG_EXIT_USAGE, "%s: does not fail in the same way again", options.file);
    if (options.replay != NULL && asprintf(&program, "%s.c", out) >= 0)
        shrink_log_write_program(&units, program, wanted.text);
    tell_result(form, &units, count_before, &command, &wanted, out);
    free(out);
    free(program);
    return LOG_EXIT_SOUND;
}
