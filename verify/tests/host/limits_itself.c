/* A program limits its own memory when it has run for a while, as judges and services do: what it may have it gets, what is more is
 * refused, and once it has freed that, threads start, libraries load, and it maps for itself.
 *
 * usage: limits_itself as|data BYTES     size of a block */
#include "../process.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { MIBS = 256 };

static void *nothing(void *argument) {
    return argument;
}

/* As many blocks as there are, each with a byte in it; their bytes. */
static size_t take_all(size_t size, void **list) {
    size_t bytes = 0;
    void **block;
    while ((block = malloc(size)) != NULL && bytes < 4 * MIBS * MIB) {
        *block = *list;
        *list = block;
        bytes += size;
    }
    CHECK(block == NULL, "%zu MiB of blocks, and no end", bytes / MIB);
    return bytes;
}

static void free_all(void **list) {
    while (*list != NULL) {
        void **block = *list;
        *list = *block;
        free(block);
    }
}

static void thread_starts(size_t stack) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack);
    int error = pthread_create(&thread, &attributes, nothing, NULL);
    CHECK(error == 0, "a thread with a stack of %zu MiB: error %d", stack / MIB, error);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
}

int main(int argc, char **argv) {
    CHECK(argc == 3, "usage: limits_itself as|data BYTES");
    const bool space = strcmp(argv[1], "as") == 0;
    const size_t size = strtoul(argv[2], NULL, 10);
    void *list = NULL;
    for (int i = 0; i < 1000; i++)
        free(malloc((size_t)i * 10)); /* it has run */
    const size_t now = process_memory(space ? 0 : 5);
    struct rlimit limit = {.rlim_cur = now + MIBS * MIB, .rlim_max = RLIM_INFINITY};
    CHECK(setrlimit(space ? RLIMIT_AS : RLIMIT_DATA, &limit) == 0, "setrlimit: errno %d", errno);
    for (int round = 0; round < 3; round++) {
        size_t bytes = take_all(size, &list);
        CHECK(bytes >= (size_t)MIBS * MIB / 10 * 8, "round %d: %zu MiB of blocks of %zu bytes",
              round, bytes / MIB, size);
        free_all(&list);
        malloc_trim(0);
        thread_starts(64 * MIB);
        void *got =
            mmap(NULL, 128 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(got != MAP_FAILED, "round %d: mmap: errno %d", round, errno);
        munmap(got, 128 * MIB);
        void *library = dlopen("libm.so.6", RTLD_NOW);
        CHECK(library != NULL, "round %d: %s", round, dlerror());
        dlclose(library);
    }
    return test_ok("bound by its limit, and by no more");
}
