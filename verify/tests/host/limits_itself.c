/* A program limits its own memory after it has run for a while, as judges and services do. It gets
 * the memory that the limit allows, and no more. After it has freed this memory, it can start
 * threads, load libraries and map memory itself.
 *
 * usage: limits_itself as|data BYTES, where BYTES is the size of a block */
#include "../process.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { MIBS = 256 };

static void *nothing(void *argument) {
    return argument;
}

/* Takes blocks until malloc fails, and writes to each; returns their bytes. */
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
        free(malloc((size_t)i * 10)); /* the program has run for a while */
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
