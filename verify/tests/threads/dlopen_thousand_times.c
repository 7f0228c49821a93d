/* A program with the system's malloc opens and closes the library, which the argument names, a
 * thousand times. Each time the main thread uses the library, and at times another thread, too.
 * Mappings, files and thread keys do not run out. */
#include "threads.h"

typedef void *malloc_function(size_t);
typedef void free_function(void *);

static struct library {
    void *handle;
    malloc_function *malloc;
    free_function *free;
} library;

static void open_library(const char *path) {
    library.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library.handle != NULL, "dlopen: %s", dlerror());
    library.malloc = (malloc_function *)(uintptr_t)dlsym(library.handle, "hak_malloc");
    library.free = (free_function *)(uintptr_t)dlsym(library.handle, "hak_free");
    CHECK(library.malloc != NULL && library.free != NULL, "hak_malloc or hak_free is missing: %s",
          dlerror());
}

static void *use(void *argument) {
    static const size_t sizes[] = {10, 500, 3000, 20000, 300000};
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        void *block = library.malloc(sizes[i]);
        CHECK(block != NULL, "hak_malloc(%zu)", sizes[i]);
        pattern_fill(block, sizes[i], i);
        PATTERN_CHECK(block, sizes[i], i);
        library.free(block);
    }
    return argument;
}

static size_t free_keys(void) {
    enum { MOST = 2000 };
    static pthread_key_t keys[MOST];
    size_t count = 0;
    while (count < MOST && pthread_key_create(&keys[count], NULL) == 0)
        count++;
    for (size_t i = 0; i < count; i++)
        pthread_key_delete(keys[i]);
    return count;
}

static int next_file(void) {
    int file = open("/dev/null", O_RDONLY);
    close(file);
    return file;
}

static void once(const char *path, size_t round) {
    open_library(path);
    use(NULL);
    if (round % 10 == 0) thread_run(use, NULL);
    CHECK(dlclose(library.handle) == 0, "dlclose: %s", dlerror());
}

int main(int count, char **arguments) {
    CHECK(count == 2, "usage: dlopen_thousand_times LIBRARY");
    CHECK(dlsym(RTLD_DEFAULT, "hak_malloc") == NULL,
          "the library is preloaded: nothing is opened here");
    size_t rounds = test_quick() ? 300 : 1000;
    for (size_t i = 0; i < 20; i++)
        once(arguments[1], i);
    size_t mappings = process_mappings(), keys = free_keys(), resident = process_resident();
    int file = next_file();
    for (size_t i = 0; i < rounds; i++)
        once(arguments[1], i);
    CHECK(process_mappings() <= mappings + 2, "mappings grow from %zu to %zu", mappings,
          process_mappings());
    CHECK(free_keys() == keys, "free thread keys fall from %zu to %zu", keys, free_keys());
    CHECK(process_resident() < resident + 8 * MIB, "resident memory grows from %zu to %zu",
          resident, process_resident());
    CHECK(next_file() == file, "the next file descriptor rises from %d to %d", file, next_file());
    return test_ok("opened %zu times", rounds);
}
