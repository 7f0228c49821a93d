/* A thread that used the library ends after another thread has closed the library: its end runs
 * no code that is unmapped. Live blocks keep their contents. */
#include "threads.h"

#include <semaphore.h>

typedef void *malloc_function(size_t);

static malloc_function *allocate;
static sem_t used, closed;
static void *block;

static void *use(void *argument) {
    block = allocate(5000);
    CHECK(block != NULL, "hak_malloc(5000)");
    pattern_fill(block, 5000, 9);
    sem_post(&used);
    sem_wait(&closed);
    PATTERN_CHECK(block, 5000, 9);
    return argument;
}

int main(int count, char **arguments) {
    CHECK(count == 2, "usage: dlclose_before_thread_exit LIBRARY");
    CHECK(dlsym(RTLD_DEFAULT, "hak_malloc") == NULL,
          "the library is preloaded: nothing is opened here");
    for (int i = 0; i < 20; i++) {
        sem_init(&used, 0, 0);
        sem_init(&closed, 0, 0);
        void *library = dlopen(arguments[1], RTLD_NOW);
        CHECK(library != NULL, "dlopen: %s", dlerror());
        allocate = (malloc_function *)(uintptr_t)dlsym(library, "hak_malloc");
        CHECK(allocate != NULL, "hak_malloc is missing: %s", dlerror());
        pthread_t thread = thread_start(use, NULL);
        sem_wait(&used);
        CHECK(dlclose(library) == 0, "dlclose: %s", dlerror());
        sem_post(&closed);
        thread_join(thread);
    }
    return test_ok("20 threads ended after dlclose");
}
