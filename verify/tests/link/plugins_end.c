/* Closes plugins that HAKMEM's archive was linked into. Threads that used the plugins end later,
 * the process forks, and blocks of the plugins stay in use. The first argument says how the plugins
 * are opened; the others are the plugins. */
#include "threads/threads.h"

#include <sys/wait.h>

#define THREADS 4
#define SIZE    5000

typedef void *malloc_function(size_t);
typedef void free_function(void *);

struct plugin {
    void *handle;
    malloc_function *malloc;
    free_function *free;
};

static struct plugin plugins[8];
static size_t plugin_count;
static pthread_barrier_t used, closed;

static void opened(void *handle) {
    CHECK(handle != NULL, "dlopen: %s", dlerror());
    struct plugin *plugin = &plugins[plugin_count++];
    plugin->handle = handle;
    plugin->malloc = (malloc_function *)(uintptr_t)dlsym(handle, "hak_malloc");
    plugin->free = (free_function *)(uintptr_t)dlsym(handle, "hak_free");
    CHECK(plugin->malloc != NULL && plugin->free != NULL, "no hak_malloc or hak_free: %s",
          dlerror());
}

static void *use(void *argument) {
    void *blocks[TEST_COUNT(plugins)];
    for (size_t i = 0; i < plugin_count; i++) {
        plugins[i].free(plugins[i].malloc(100));
        blocks[i] = plugins[i].malloc(SIZE);
        CHECK(blocks[i] != NULL, "hak_malloc");
        pattern_fill(blocks[i], SIZE, i);
    }
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&closed);
    for (size_t i = 0; i < plugin_count; i++) {
        PATTERN_CHECK(blocks[i], SIZE, i);
        plugins[i].free(blocks[i]);
    }
    return argument;
}

static void fork_once(void) {
    int status = 1;
    pid_t child = fork();
    if (child == 0) {
        for (size_t i = 0; i < plugin_count; i++)
            plugins[i].free(plugins[i].malloc(SIZE));
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0, "the child ended with status %x",
          (unsigned)status);
}

static void close_all(void) {
    for (size_t i = 0; i < plugin_count; i++)
        CHECK(dlclose(plugins[i].handle) == 0, "dlclose: %s", dlerror());
}

/* Threads use the plugins, the plugins are closed, the process forks, and then the threads end. */
static void end_well(void) {
    pthread_t threads[THREADS];
    pthread_barrier_init(&used, NULL, THREADS + 1);
    pthread_barrier_init(&closed, NULL, THREADS + 1);
    for (size_t i = 0; i < THREADS; i++)
        threads[i] = thread_start(use, NULL);
    pthread_barrier_wait(&used);
    close_all();
    fork_once();
    pthread_barrier_wait(&closed);
    for (size_t i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    fork_once();
}

static void *open_in_folder(const char *path) {
    char folder[4096], name[300];
    const char *slash = strrchr(path, '/');
    CHECK(slash != NULL, "%s has no folder", path);
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    snprintf(name, sizeof name, ".%s", slash);
    CHECK(chdir(folder) == 0, "chdir: errno %d", errno);
    void *handle = dlopen(name, RTLD_NOW);
    CHECK(chdir("/") == 0, "chdir: errno %d", errno);
    return handle;
}

/* Opens a file that has lost its name before the constructors in it run. */
static void *open_deleted(const char *path) {
    char name[64];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0 && unlink(path) == 0, "%s: errno %d", path, errno);
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    void *handle = dlopen(name, RTLD_NOW);
    close(file);
    return handle;
}

static void open_as(const char *how, const char *path) {
    if (strcmp(how, "folder") == 0)
        opened(open_in_folder(path));
    else if (strcmp(how, "deleted") == 0)
        opened(open_deleted(path));
    else if (strcmp(how, "global") == 0)
        opened(dlopen(path, RTLD_LAZY | RTLD_GLOBAL));
    else if (strcmp(how, "namespace") == 0)
        opened(dlmopen(LM_ID_NEWLM, path, RTLD_NOW));
    else
        opened(dlopen(path, RTLD_NOW | RTLD_LOCAL));
}

int main(int count, char **arguments) {
    CHECK(count >= 3, "usage: plugins_end HOW PLUGIN...");
    CHECK(dlsym(RTLD_DEFAULT, "hak_malloc") == NULL,
          "the library is preloaded: nothing is opened here");
    for (int i = 2; i < count; i++)
        open_as(arguments[1], arguments[i]);
    if (strcmp(arguments[1], "twice") == 0) {
        CHECK(dlclose(plugins[0].handle) == 0, "dlclose: %s", dlerror());
        plugin_count = 0;
        opened(dlopen(arguments[2], RTLD_NOW));
    }
    end_well();
    return test_ok("closed %zu plugins", plugin_count);
}
