/* Explores the interleavings of scenarios (scenarios.h) on the production code, each scenario in a
 * process of its own. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "verify/explore/search.h"
#include "verify/virtual/waiting.h"

static const char usage[] =
    "explore [SCENARIO...] [OPTIONS]   default: all scenarios, exhaustively up to 2 preemptions\n"
    "  --list                 the scenarios\n"
    "  --preemptions N        exhaustively up to N preemptions, 0 to 9; from none on, so that the "
    "first "
    "finding has the\n"
    "                         fewest\n"
    "  --memory sc|tso|weak   what others see of a thread's stores; with tso and weak one of them "
    "is held "
    "back, once\n"
    "  --random SECONDS       random walks instead\n"
    "  --pct SECONDS          random priorities instead, --depth N (default 3) of them change\n"
    "  --seed S               of the last two; default 1\n"
    "  --seconds N            end the exhaustive search of a scenario after so long, and fail\n"
    "  --no-races             look for what goes wrong, not for accesses without an order\n"
    "  --first                end with the first finding\n"
    "  --schedule S           run one schedule of one scenario, in this process\n"
    "  --markdown             the table in Markdown\n";

enum method { METHOD_EXHAUSTIVE, METHOD_RANDOM, METHOD_PCT };

static struct {
    enum method method;
    double seconds;
    struct explore_options options;
    const char *schedule;
    bool first, markdown, list;
} wanted = {.options = {.preemptions = 2, .seed = 1, .depth = 3}};

static struct explore_progress *progress; /* shared with the child processes */

_Noreturn static void die(const char *what, const char *which) {
    fprintf(stderr, "explore: %s '%s'\n%s", what, which, usage);
    exit(2);
}

static unsigned long number(const char *name, const char *text, unsigned long least,
                            unsigned long most) {
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || value < least || value > most) {
        fprintf(stderr, "explore: --%s: '%s' is not a number from %lu to %lu\n", name, text, least,
                most);
        exit(2);
    }
    return value;
}

static enum explore_memory memory_of(const char *name) {
    static const char *const names[] = {
        [EXPLORE_SC] = "sc", [EXPLORE_TSO] = "tso", [EXPLORE_WEAK] = "weak"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0) return (enum explore_memory)i;
    die("no memory", name);
}

static void options_parse(int argc, char **argv) {
    static const struct option options[] = {
        {"list", no_argument, NULL, 'l'},         {"preemptions", required_argument, NULL, 'p'},
        {"memory", required_argument, NULL, 'm'}, {"random", required_argument, NULL, 'r'},
        {"pct", required_argument, NULL, 't'},    {"depth", required_argument, NULL, 'd'},
        {"seed", required_argument, NULL, 's'},   {"seconds", required_argument, NULL, 'e'},
        {"no-races", no_argument, NULL, 'n'},     {"schedule", required_argument, NULL, 'c'},
        {"first", no_argument, NULL, 'f'},        {"markdown", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'l':
            wanted.list = true;
            break;
        case 'p':
            wanted.options.preemptions = (unsigned)number("preemptions", optarg, 0, 9);
            break;
        case 'm':
            wanted.options.memory = memory_of(optarg);
            break;
        case 'r':
            wanted.method = METHOD_RANDOM;
            wanted.seconds = (double)number("random", optarg, 1, 1000000);
            break;
        case 't':
            wanted.method = METHOD_PCT;
            wanted.seconds = (double)number("pct", optarg, 1, 1000000);
            break;
        case 'd':
            wanted.options.depth = (unsigned)number("depth", optarg, 1, 16);
            break;
        case 's':
            wanted.options.seed = number("seed", optarg, 0, UINT32_MAX);
            break;
        case 'e':
            wanted.seconds = (double)number("seconds", optarg, 1, 1000000);
            break;
        case 'n':
            wanted.options.no_races = true;
            break;
        case 'f':
            wanted.first = true;
            break;
        case 'c':
            wanted.schedule = optarg;
            break;
        case 'k':
            wanted.markdown = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
}

/* ---- in a child ------------------------------------------------------------------------------ */

/* How a child ended, and the first line of its finding. */
struct outcome {
    bool failed, misfit;
    bool whole; /* exhaustive: no schedule is left */
    char words[200];
};

struct job {
    const struct explore_scenario *scenario;
    const struct explore_schedule *schedule; /* the one to replay; NULL: search */
    enum method method;
    const struct explore_options *options;
    double seconds;
};

static int job_run(const struct job *job) {
    bool whole = true;
    if (job->schedule != NULL)
        explore_replay(job->scenario, job->options, job->schedule, progress);
    else if (job->method == METHOD_RANDOM)
        explore_random(job->scenario, job->options, job->seconds, progress);
    else if (job->method == METHOD_PCT)
        explore_pct(job->scenario, job->options, job->seconds, progress);
    else
        whole = explore_exhaustive(job->scenario, job->options, job->seconds, progress);
    return whole ? 0 : 1;
}

/* Finds the first line of the output that tells the finding; without one, tells how the child
 * ended. */
static void first_words(int file, struct outcome *outcome, int status) {
    static char text[1 << 16];
    ssize_t length = pread(file, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strncmp(line, "hakmem: ", 8) != 0 && strncmp(line, "explore: ", 9) != 0 &&
            strncmp(line, "fuzz: ", 6) != 0)
            continue;
        snprintf(outcome->words, sizeof outcome->words, "%s", line);
        return;
    }
    if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGPROF || WTERMSIG(status) == SIGALRM))
        snprintf(outcome->words, sizeof outcome->words,
                 "explore: a thread runs for ever between two steps");
    else
        snprintf(outcome->words, sizeof outcome->words, "explore: ended with %s %d",
                 WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static struct outcome job_in_child(const struct job *job) {
    struct outcome outcome = {.failed = false};
    int file = memfd_create("stderr", 0), status = 0;
    progress->done = false;
    progress->schedule.count = 0;
    fflush(stdout);
    pid_t child = file < 0 ? -1 : _Fork(); /* runs no handlers: those of core/ are for scenarios */
    if (child == 0) {
        dup2(file, STDERR_FILENO);
        _exit(job_run(job));
    }
    if (child < 0 || waitpid(child, &status, 0) != child) die("no process", strerror(errno));
    outcome.whole = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    outcome.misfit = WIFEXITED(status) && WEXITSTATUS(status) == EXPLORE_STATUS_MISFIT;
    outcome.failed = !progress->done;
    if (outcome.failed) first_words(file, &outcome, status);
    close(file);
    return outcome;
}

/* ---- findings -------------------------------------------------------------------------------- */

static unsigned preemptions_of(const struct explore_schedule *schedule) {
    unsigned sum = 0;
    for (unsigned i = 0; i < schedule->count; i++)
        sum += schedule->list[i].costs;
    return sum;
}

/* Replays the schedule. True if it still fails; *schedule is then the schedule that was really
 * run. */
static bool still_fails(const struct job *job, struct explore_schedule *schedule,
                        struct outcome *outcome) {
    struct job again = *job;
    again.schedule = schedule;
    struct outcome seen = job_in_child(&again);
    if (!seen.failed || seen.misfit) return false;
    *outcome = seen;
    *schedule = progress->schedule;
    return true;
}

/* Leaves out series of deviations, shorter and shorter ones, as long as the rest still fails. It
 * begins at the end, because the deviations that are left keep their step numbers. */
static void leave_out(const struct job *job, struct explore_schedule *schedule,
                      struct outcome *outcome) {
    for (unsigned length = schedule->count; length > 0; length /= 2) {
        for (unsigned from = schedule->count; from-- > 0;) {
            struct explore_schedule fewer = {.count = 0};
            for (unsigned i = 0; i < schedule->count; i++)
                if (i < from || i >= from + length) fewer.list[fewer.count++] = schedule->list[i];
            if (fewer.count == schedule->count || !still_fails(job, &fewer, outcome)) continue;
            *schedule = fewer;
            if (from > schedule->count) from = schedule->count;
        }
    }
}

#define SHRINK_SECONDS 20.0 /* of the exhaustive search for a finding with fewer preemptions */

static void shrink(const struct job *job, struct explore_schedule *schedule,
                   struct outcome *outcome) {
    struct explore_options fewer = *job->options;
    struct job search = {.scenario = job->scenario, .options = &fewer, .seconds = SHRINK_SECONDS};
    leave_out(job, schedule, outcome);
    unsigned preemptions = preemptions_of(schedule);
    if (job->method == METHOD_EXHAUSTIVE || preemptions == 0) return;
    fewer.preemptions = preemptions - 1 < 3 ? preemptions - 1 : 3;
    struct outcome found = job_in_child(&search);
    if (!found.failed) return;
    *schedule = progress->schedule;
    *outcome = found;
    leave_out(job, schedule, outcome);
}

static void tell(const struct job *job, struct outcome *outcome) {
    static const char *const memories[] = {
        [EXPLORE_SC] = "", [EXPLORE_TSO] = " --memory tso", [EXPLORE_WEAK] = " --memory weak"};
    static char text[EXPLORE_SCHEDULE_TEXT];
    static struct explore_schedule schedule;
    uint64_t runs = progress->runs;
    schedule = progress->schedule;
    shrink(job, &schedule, outcome);
    explore_schedule_print(&schedule, text, sizeof text);
    printf("%s: %s\n%s: schedule %s, %u preemptions, found after %llu schedules\n",
           job->scenario->name, outcome->words, job->scenario->name, text,
           preemptions_of(&schedule), (unsigned long long)runs);
    printf("%s: replay with ./build.sh explore %s%s%s --schedule %s\n", job->scenario->name,
           job->scenario->name, memories[job->options->memory],
           job->options->no_races ? " --no-races" : "", text);
}

/* ---- the table ------------------------------------------------------------------------------- */

static const char *text_of_number(uint64_t value) {
    static char texts[4][24];
    static unsigned at;
    char *text = texts[at++ % 4];
    if (wanted.method == METHOD_EXHAUSTIVE || value != 0)
        snprintf(text, sizeof texts[0], "%llu", (unsigned long long)value);
    else
        snprintf(text, sizeof texts[0], "-");
    return text;
}

static void row_begin(void) {
    if (wanted.markdown)
        printf("| scenario | schedules | states | ended in a known state | seconds "
               "|\n|---|---|---|---|---|\n");
    else
        printf("%-26s %10s %10s %10s %8s\n", "scenario", "schedules", "states", "known", "seconds");
}

static void row(const struct explore_scenario *scenario, double seconds) {
    printf(wanted.markdown ? "| `%s`: %s | %s | %s | %s | %.1f |\n"
                           : "%-26s %.0s%10s %10s %10s %8.1f",
           scenario->name, scenario->text, text_of_number(progress->runs),
           text_of_number(progress->states), text_of_number(progress->pruned), seconds);
    if (!wanted.markdown) printf("\n");
}

/* Seconds of processor time that the children have used. */
static double worked(void) {
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* True if nothing was found and no schedule is left. */
static bool explore(const struct explore_scenario *scenario) {
    struct job job = {.scenario = scenario,
                      .method = wanted.method,
                      .options = &wanted.options,
                      .seconds = wanted.seconds};
    double begin = worked();
    progress->runs = progress->states = progress->pruned = 0;
    struct outcome outcome = job_in_child(&job);
    if (outcome.failed) {
        tell(&job, &outcome);
        return false;
    }
    row(scenario, worked() - begin);
    if (!outcome.whole) printf("%s: the time was up\n", scenario->name);
    return outcome.whole;
}

/* Explores the named scenarios, or all if none is named. */
static bool explore_all(char *const *names) {
    bool quiet = true;
    for (size_t i = 0; i < explore_scenario_count && (quiet || !wanted.first); i++) {
        bool named = names[0] == NULL;
        for (char *const *name = names; *name != NULL; name++)
            named |= strcmp(*name, explore_scenarios[i].name) == 0;
        if (named) quiet &= explore(&explore_scenarios[i]);
    }
    return quiet;
}

/* Explores all scenarios without preemptions, then with one, and so on: a finding that needs few
 * preemptions comes first, whatever scenario has it. */
static bool explore_by_preemptions(char *const *names) {
    unsigned most = wanted.method == METHOD_EXHAUSTIVE ? wanted.options.preemptions : 0;
    bool quiet = true;
    for (wanted.options.preemptions = 0; quiet && wanted.options.preemptions <= most;
         wanted.options.preemptions++)
        quiet = explore_all(names);
    return quiet;
}

static int replay(const char *name, const char *text) {
    static struct explore_schedule schedule;
    size_t bad;
    const struct explore_scenario *scenario = explore_scenario_find(name);
    if (scenario == NULL) die("no scenario", name);
    if (!explore_schedule_parse(text, &schedule, &bad)) {
        fprintf(stderr, "explore: '%s' is no schedule from character %zu on\n", text, bad + 1);
        return 2;
    }
    explore_replay(scenario, &wanted.options, &schedule, progress);
    printf("%s: nothing is wrong with schedule %s\n", scenario->name, text);
    return 0;
}

static void list(void) {
    for (size_t i = 0; i < explore_scenario_count; i++)
        printf("%-26s %s\n", explore_scenarios[i].name, explore_scenarios[i].text);
}

int main(int argc, char **argv) {
    options_parse(argc, argv);
    if (wanted.list) {
        list();
        return 0;
    }
    progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED) die("no memory", strerror(errno));
    explore_system_begin();
    if (wanted.schedule != NULL) {
        if (argc - optind != 1) die("one scenario is replayed, with", "--schedule");
        return replay(argv[optind], wanted.schedule);
    }
    for (int i = optind; i < argc; i++)
        if (explore_scenario_find(argv[i]) == NULL) die("no scenario", argv[i]);
    double begin = worked();
    row_begin();
    bool quiet = wanted.first ? explore_by_preemptions(argv + optind) : explore_all(argv + optind);
    printf("%s, in %.1f s\n", quiet ? "nothing found" : "something is wrong", worked() - begin);
    return quiet ? 0 : 1;
}
