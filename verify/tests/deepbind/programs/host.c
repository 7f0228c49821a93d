/* A program that opens libraries with RTLD_DEEPBIND.
 *
 * usage: host blocks OPENER PLUGIN   blocks of all sizes go both ways; OPENER: dlopen, dlmopen
 *        host which OPENER PLUGIN    says whose definition the plugin uses
 *        host early PLUGIN           the same, after what the plugin of a preloaded library used
 *        host caller OUTER NAME      a library opens another one that only its own RUNPATH finds
 *        host space PLUGIN           the plugin is opened in a new namespace
 *        host threads PLUGIN         eight threads open the plugin at once, as their first calls
 *        host alone PLUGIN           the plugin has its own libc, and uses it
 *        host edges PLUGIN           prints what the calls answer, line by line */
#include <pthread.h>

#include "test.h"

#define MODE (RTLD_NOW | RTLD_DEEPBIND)

typedef const char *say_function(void);
typedef void *make_function(size_t);
typedef void *resize_function(void *, size_t);
typedef void end_function(void *);
typedef size_t copy_function(const char *);

/* The program exports its own definition. A plugin uses this one, unless the plugin was opened with
 * the flag. */
const char *definition(void);
const char *definition(void) {
    return "the program's";
}

static void *opened(const char *opener, const char *file) {
    void *plugin =
        strcmp(opener, "dlopen") == 0 ? dlopen(file, MODE) : dlmopen(LM_ID_BASE, file, MODE);
    CHECK(plugin != NULL, "%s", dlerror());
    return plugin;
}

static void *found(void *library, const char *name) {
    void *symbol = dlsym(library, name);
    CHECK(symbol != NULL, "%s", dlerror());
    return symbol;
}
#define FIND(type, library, name) ((type *)(uintptr_t)found(library, name))

static const size_t sizes[] = {1, 40, 1000, 5000, 20000, 100000, 3000000};

static void check(const unsigned char *block, size_t size) {
    CHECK(block != NULL && block[0] == 0x5a && block[size - 1] == 0x5a, "a block of %zu bytes",
          size);
}

static void blocks(const char *opener, const char *file) {
    void *plugin = opened(opener, file);
    make_function *make = FIND(make_function, plugin, "plugin_malloc");
    make_function *make_aligned = FIND(make_function, plugin, "plugin_aligned");
    resize_function *resize = FIND(resize_function, plugin, "plugin_realloc");
    end_function *end = FIND(end_function, plugin, "plugin_free");
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        size_t size = sizes[i];
        end(memset(malloc(size), 0x5a, size));
        free(memset(make(size), 0x5a, size));
        unsigned char *block = resize(memset(malloc(size), 0x5a, size), 2 * size);
        check(block, size);
        block = realloc(memset(block, 0x5a, 2 * size), size);
        check(block, size);
        end(block);
        void *aligned = NULL;
        CHECK(posix_memalign(&aligned, 4096, size) == 0, "%zu bytes", size);
        end(memset(aligned, 0x5a, size));
        aligned = make_aligned(size);
        CHECK(aligned != NULL && (uintptr_t)aligned % 64 == 0, "%zu bytes", size);
        free(memset(aligned, 0x5a, size));
    }
    CHECK(FIND(copy_function, plugin, "plugin_copies")("as libc does") == 12, "another text");
    CHECK(dlclose(plugin) == 0, "%s", dlerror());
}

static const char *which(const char *opener, const char *file) {
    return FIND(say_function, opened(opener, file), "plugin_definition")();
}

static void caller(const char *outer, const char *name) {
    typedef void *opens_function(const char *, int);
    CHECK(dlopen(name, RTLD_NOW) == NULL, "%s is found by everybody", name);
    opens_function *opens = FIND(opens_function, opened("dlopen", outer), "outer_opens");
    for (int with_namespace = 0; with_namespace < 2; with_namespace++) {
        void *library = opens(name, with_namespace);
        CHECK(library != NULL, "%s", dlerror());
        FIND(end_function, library, "plugin_free")(malloc(100));
        CHECK(dlclose(library) == 0, "%s", dlerror());
    }
}

/* Here the plugin has a libc of its own, so the plugin frees its own blocks. */
static void alone(void *plugin) {
    CHECK(plugin != NULL, "%s", dlerror());
    make_function *make = FIND(make_function, plugin, "plugin_malloc");
    end_function *end = FIND(end_function, plugin, "plugin_free");
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        end(memset(make(sizes[i]), 0x5a, sizes[i]));
    CHECK(dlclose(plugin) == 0, "%s", dlerror());
}

static pthread_barrier_t barrier;

static void *open_and_free(void *file) {
    pthread_barrier_wait(&barrier);
    void *plugin = dlopen(file, MODE);
    CHECK(plugin != NULL, "%s", dlerror());
    FIND(end_function, plugin, "plugin_free")(malloc(100));
    return NULL;
}

static void threads(char *file) {
    enum { THREADS = 8 };
    pthread_t ids[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&ids[i], NULL, open_and_free, file) == 0, "no thread");
    for (int i = 0; i < THREADS; i++)
        pthread_join(ids[i], NULL);
}

/* Prints a line that must be the same on any malloc. */
static void answer(const char *what, const void *handle) {
    char text[256] = "no error";
    int error = errno;
    const char *said = dlerror();
    if (said != NULL) snprintf(text, sizeof text, "%s", said);
    printf("%s: %s, errno %d, %s, then %s\n", what, handle != NULL ? "opened" : "NULL", error, text,
           dlerror() != NULL ? "another error" : "none");
    errno = 0;
}

static void edges(const char *file) {
    errno = 77;
    void *program = dlopen(NULL, MODE);
    answer("the program, first of all", program);
    answer("a file that is not there", dlopen("./not_there.so", MODE));
    answer("a name that is not there", dlopen("not_there.so", MODE));
    answer("no library", dlopen("/dev/null", MODE));
    answer("no mode", dlopen(file, 0));
    answer("the flag alone", dlopen(file, RTLD_DEEPBIND));
    answer("not loaded yet", dlopen(file, MODE | RTLD_NOLOAD));
    answer("in no namespace", dlmopen(1000, file, MODE));
    answer("the program in a new namespace", dlmopen(LM_ID_NEWLM, NULL, MODE));
    answer("a file that is not there, by dlmopen", dlmopen(LM_ID_BASE, "./not_there.so", MODE));
    dlsym(program, "there is no such function");
    void *plugin = dlopen(file, MODE);
    answer("after an error that nobody asked for", plugin);
    answer("loaded, by dlmopen", dlmopen(LM_ID_BASE, file, MODE));
    void *again = dlopen(file, MODE | RTLD_NOLOAD);
    answer("loaded", again);
    answer("the empty name", dlopen("", MODE));
    printf("%s\n",
           again == plugin && dlopen(NULL, MODE) == program ? "the same handles" : "other handles");
}

int main(int argc, char **argv) {
    const char *what = argc > 2 ? argv[1] : "";
    if (strcmp(what, "edges") == 0) {
        edges(argv[2]);
        return 0;
    }
    if (strcmp(what, "threads") == 0) threads(argv[2]);
    if (strcmp(what, "blocks") == 0) blocks(argv[2], argv[3]);
    if (strcmp(what, "which") == 0) return test_ok("%s", which(argv[2], argv[3]));
    if (strcmp(what, "early") == 0)
        return test_ok("%s, then %s", FIND(say_function, RTLD_DEFAULT, "early_definition")(),
                       which("dlopen", argv[2]));
    if (strcmp(what, "caller") == 0) caller(argv[2], argv[3]);
    if (strcmp(what, "space") == 0) alone(dlmopen(LM_ID_NEWLM, argv[2], MODE));
    if (strcmp(what, "alone") == 0) alone(dlopen(argv[2], MODE));
    test_needs_hakmem();
    return test_ok("%s", what);
}
