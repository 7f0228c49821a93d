/* Tests the locks of libc. Threads read and flush streams, list folders, ask for names, change the
 * locale, load libraries, write to the log, look up the time zone, and start programs. Each calls
 * malloc and free while it holds locks of libc. fork takes some of these locks after all handlers
 * have run. Meanwhile the process forks; the child uses streams and leaves by exit().
 *
 * argument: what the threads do */
#include "forks.h"

#include <dirent.h>
#include <link.h>
#include <locale.h>
#include <netdb.h>
#include <syslog.h>
#include <time.h>

enum { WORKERS = 4, LINES = 60 };

static char name[] = "/tmp/hakmem_libcs_locks.XXXXXX";
static void (*work)(size_t worker);

/* Lines of up to 100 KB: getline grows its block while it holds the lock of its stream. */
static void file_write(void) {
    int file = mkstemp(name);
    CHECK(file >= 0, "mkstemp: errno %d", errno);
    for (int i = 0; i < LINES; i++)
        dprintf(file, "%0*d\n", 100 + i * 1700, i);
    close(file);
}

static void file_read(void) {
    FILE *file = fopen(name, "r");
    char *line = NULL;
    size_t room = 0, lines = 0;
    CHECK(file != NULL, "fopen: errno %d", errno);
    while (getline(&line, &room, file) > 0) {
        lines++;
        free(line);
        line = NULL;
        room = 0;
    }
    CHECK(lines > 0, "no line"); /* a child's exit() may set back the shared file offset */
    free(line);
    fclose(file);
}

/* The first thread takes the lock of all streams, and the lock of each stream. */
static void streams(size_t worker) {
    if (worker == 0)
        fflush(NULL);
    else
        file_read();
}

static void characters(size_t worker) {
    if (worker == 0) {
        fflush(NULL);
        FILE *made = crowd_rounds[0] % 16 == 0 ? tmpfile() : NULL;
        if (made != NULL) fclose(made);
        return;
    }
    FILE *file = fopen(name, "r"), *stream;
    char *text = NULL;
    size_t length = 0;
    CHECK(file != NULL && (stream = open_memstream(&text, &length)) != NULL, "errno %d", errno);
    for (int i = 0, c; i < 4000 && (c = getc(file)) != EOF; i++)
        putc(c, stream);
    for (int i = 0; i < 8; i++) /* the stream's block grows under its lock */
        fprintf(stream, "%0*d", 60000, i);
    setvbuf(file, NULL, _IOFBF, 20000);
    fclose(file);
    fclose(stream);
    free(text);
}

static void folders(size_t worker) {
    DIR *folder = opendir(worker % 2 == 0 ? "/usr/lib" : "/etc");
    CHECK(folder != NULL, "opendir: errno %d", errno);
    while (readdir(folder) != NULL)
        continue;
    closedir(folder);
}

static void names(size_t worker) {
    struct addrinfo *found = NULL, wanted = {.ai_family = AF_UNSPEC};
    int error = getaddrinfo(worker % 2 == 0 ? "localhost" : "127.0.0.1", "80", &wanted, &found);
    if (error == 0) freeaddrinfo(found);
    if (worker == 3)
        file_read();
    else
        fflush(NULL);
}

static void locales(size_t worker) {
    if (worker == 0) {
        setlocale(LC_ALL, "C.UTF-8");
        setlocale(LC_ALL, "C");
        return;
    }
    locale_t made = newlocale(LC_ALL_MASK, worker == 1 ? "C.UTF-8" : "C", (locale_t)0);
    if (made != (locale_t)0) freelocale(made);
    file_read();
}

static int visit(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)info, (void)size, (void)unused;
    free(malloc(300));
    return 0;
}

static void libraries(size_t worker) {
    if (worker % 2 == 0) {
        dl_iterate_phdr(visit, NULL);
        fflush(NULL);
        return;
    }
    void *handle = dlopen(worker == 1 ? "libm.so.6" : "libresolv.so.2", RTLD_NOW);
    if (handle == NULL) return;
    dlsym(handle, "cos");
    dlclose(handle);
}

/* There may be no daemon that takes the messages. */
static void logs(size_t worker) {
    if (worker == 0) {
        closelog();
        openlog("hakmem-test", LOG_PID, LOG_USER);
    }
    syslog(LOG_DEBUG, "%s %zu", name, worker);
    file_read();
}

static void zones(size_t worker) {
    static const char *const names_of_zones[] = {"Europe/Berlin", "Asia/Tokyo", "UTC"};
    struct tm tm;
    time_t now = 1700000000;
    if (worker == 0) setenv("TZ", names_of_zones[crowd_rounds[0] % TEST_COUNT(names_of_zones)], 1);
    if (worker == 0) tzset();
    localtime_r(&now, &tm);
    mktime(&tm);
    fflush(NULL);
}

/* popen and system fork, too. The streams of popen are in a list with a lock of its own. */
static void programs(size_t worker) {
    if (worker == 0) {
        CHECK(system("exit 3") == 3 << 8, "system");
        return;
    }
    char text[16] = "";
    FILE *pipe = popen("echo some words", "re");
    CHECK(pipe != NULL, "popen: errno %d", errno);
    CHECK(fgets(text, sizeof text, pipe) != NULL && strcmp(text, "some words\n") == 0,
          "popen: '%s'", text);
    CHECK(pclose(pipe) == 0, "pclose: errno %d", errno);
    file_read();
}

/* `forks` is enough to see a lock that is held across a fork. The number differs from lock to
 * lock. */
static const struct {
    const char *name;
    void (*work)(size_t worker);
    size_t forks;
} works[] = {
    {"streams", streams, 160}, {"characters", characters, 80}, {"folders", folders, 40},
    {"names", names, 160},     {"locales", locales, 40},       {"libraries", libraries, 80},
    {"logs", logs, 40},        {"zones", zones, 40},           {"programs", programs, 80}};

static void *crowd_calls_libc(void *number) {
    while (!crowd_ends) {
        work((size_t)number);
        crowd_rounds[(size_t)number]++;
    }
    return NULL;
}

/* The child uses what fork makes whole there: streams and malloc. */
static void child(size_t number) {
    alarm(FORKS_CHILD_SECONDS);
    if (number % 8 == 0) file_read();
    FILE *file = fopen("/dev/null", "w");
    CHECK(file != NULL, "fopen: errno %d", errno);
    fprintf(file, "%0*d", 20000, 1); /* exit() flushes it */
    if (number % 16 == 0) child_uses_all(number);
    if (work == libraries)
        _exit(fclose(file)); /* a thread that is gone may hold the loader's lock */
    exit(0);
}

int main(int count, char **arguments) {
    test_needs_hakmem();
    size_t which = 0;
    CHECK(count == 2, "usage: %s WHAT", arguments[0]);
    while (which < TEST_COUNT(works) && strcmp(works[which].name, arguments[1]) != 0)
        which++;
    CHECK(which < TEST_COUNT(works), "what: %s?", arguments[1]);
    work = works[which].work;
    size_t forks = works[which].forks / (test_quick() ? 8 : 1);
    alarm(FORKS_SECONDS);
    file_write();
    crowd_begin_with(WORKERS, crowd_calls_libc);
    uint64_t seed = 1;
    for (size_t i = 0; i < forks; i++) {
        pid_t process = fork();
        if (process == 0) child(i);
        shelf_change(&seed, 5);
        child_ended_well(process, arguments[1], i);
    }
    crowd_goes_on();
    crowd_end();
    unlink(name);
    return test_ok("%zu forks beside %s", forks, arguments[1]);
}
