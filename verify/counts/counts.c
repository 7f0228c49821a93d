/* Counts what core/ does to words that threads share, and compares each pattern with its budget:
 * ./build.sh counts. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "verify/counts/patterns.h"
#include "verify/counts/tally.h"

static const char usage[] =
    "counts [PATTERN...] [OPTIONS]   default: all patterns\n"
    "  --list        the patterns\n"
    "  --places      also which words and parts it is\n"
    "  --markdown    the table in Markdown\n"
    "  --no-yields   threads give up the processor only when their time is up\n"
    "Status 1: a pattern is over its budget.\n";

static struct { bool list, places, markdown, no_yields; } wanted;

/* True if the argument was an option. Ends the program at one that it does not know. */
static bool option_parse(const char *argument) {
    const struct {
        const char *name;
        bool *flag;
    } options[] = {{"--list", &wanted.list},
                   {"--places", &wanted.places},
                   {"--markdown", &wanted.markdown},
                   {"--no-yields", &wanted.no_yields}};
    if (strncmp(argument, "--", 2) != 0) return false;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strcmp(argument, options[i].name) != 0) continue;
        *options[i].flag = true;
        return true;
    }
    bool asked = strcmp(argument, "--help") == 0;
    fputs(usage, asked ? stdout : stderr);
    exit(asked ? 0 : 2);
}

static const struct pattern *pattern_find(const char *name) {
    for (size_t i = 0; i < pattern_count; i++)
        if (strcmp(patterns[i].name, name) == 0) return &patterns[i];
    return NULL;
}

static void table_begin(void) {
    if (wanted.markdown)
        printf("| pattern | threads | blocks | atomic changes | locks | with lock prefix | "
               "shared-line writes | "
               "read transfers | of blocks' lines | calls for memory "
               "|\n|---|---|---|---|---|---|---|---|---|---|\n");
    else
        printf("per thousand blocks:\n%-20s %7s %9s %9s %9s %9s %9s %9s %9s %9s\n", "pattern",
               "threads", "blocks", "changes", "locks", "locked", "writes", "reads", "in blocks",
               "system");
}

/* The units that a pattern is counted by: blocks, or looks at heaps of sleeping threads. */
static uint64_t unit_of(const struct pattern *pattern, const struct tally *sum) {
    return pattern->sleepers > 0 ? sum->looks * pattern->sleepers : sum->blocks;
}

static struct budget used_of(const struct tally *sum, uint64_t units) {
    double thousands = (double)units / 1000;
    return (struct budget){.locked = (double)tally_locked(sum) / thousands,
                           .takes = (double)sum->takes / thousands,
                           .writes = (double)tally_shared(sum->writes) / thousands,
                           .reads = (double)tally_shared(sum->reads) / thousands};
}

static void row(const struct pattern *pattern, const struct tally *sum, const struct budget *used,
                uint64_t units) {
    double thousands = (double)units / 1000;
    printf(wanted.markdown
               ? "| `%s`: %s | %u | %llu | %.3f | %.3f | %.3f | %.3f | %.3f | %.0f | %.3f |\n"
               : "%-20s %.0s%7u %9llu %9.3f %9.3f %9.3f %9.3f %9.3f %9.0f %9.3f\n",
           pattern->name, pattern->text, pattern->threads, (unsigned long long)units,
           (double)sum->changes / thousands, used->takes, used->locked, used->writes, used->reads,
           (double)(sum->writes[TALLY_BLOCK] + sum->reads[TALLY_BLOCK]) / thousands,
           (double)sum->system_calls / thousands);
}

/* Prints a line if `used` is over the budget. */
static bool is_within(const struct pattern *pattern, const char *what, double used, double most) {
    if (used <= most) return true;
    printf("counts: %s: %.3f %s a thousand %s, at most %g\n", pattern->name, used, what,
           pattern->sleepers > 0 ? "looks" : "blocks", most);
    return false;
}

static bool is_within_budget(const struct pattern *pattern, const struct budget *used) {
    const struct budget *most = &pattern->budget;
    bool within = is_within(pattern, "instructions with lock prefix", used->locked, most->locked);
    within &= is_within(pattern, "locks", used->takes, most->takes);
    within &= is_within(pattern, "shared-line writes", used->writes, most->writes);
    within &= is_within(pattern, "read transfers", used->reads, most->reads);
    return within;
}

static int pattern_count_in_child(const struct pattern *pattern) {
    tally_begin(!wanted.no_yields);
    pattern_run(pattern);
    struct tally sum = tally_sum();
    uint64_t units = unit_of(pattern, &sum);
    if (units == 0) bench_die("nothing was done");
    struct budget used = used_of(&sum, units);
    row(pattern, &sum, &used, units);
    if (wanted.places) tally_print_places(units);
    return is_within_budget(pattern, &used) ? 0 : 1;
}

/* Runs the pattern in a process of its own, so that it leaves nothing to the next one. */
static bool pattern_count_apart(const struct pattern *pattern) {
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) exit(pattern_count_in_child(pattern));
    if (child < 0 || waitpid(child, &status, 0) != child) bench_die("no process");
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) {
        printf("counts: %s did not end well\n", pattern->name);
        return false;
    }
    return WEXITSTATUS(status) == 0;
}

static bool is_named(const struct pattern *pattern, char **names, int count) {
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], pattern->name) == 0) return true;
    return count == 0;
}

int main(int argc, char **argv) {
    int names = 0;
    for (int i = 1; i < argc; i++)
        if (!option_parse(argv[i])) argv[names++] = argv[i];
    for (int i = 0; i < names; i++) {
        if (pattern_find(argv[i]) != NULL) continue;
        fprintf(stderr, "counts: no pattern '%s'\n%s", argv[i], usage);
        return 2;
    }
    bool within = true;
    if (!wanted.list) table_begin();
    for (size_t i = 0; i < pattern_count; i++) {
        if (!is_named(&patterns[i], argv, names)) continue;
        if (wanted.list)
            printf("%-20s %s\n", patterns[i].name, patterns[i].text);
        else
            within &= pattern_count_apart(&patterns[i]);
    }
    return within ? 0 : 1;
}
