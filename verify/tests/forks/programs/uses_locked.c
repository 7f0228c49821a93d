/* Threads allocate under the mutex of a library, or without it, while the process forks and the
 * handlers of the library take the mutex. The library is linked; or the argument names it, and it
 * is loaded when the program begins. */
#include "forks/forks.h"
#include "forks/programs/locked.h"

static void (*work)(size_t size, size_t times);
static void (*child_ends)(void);
static void (*register_now)(void);

static void find(const char *library) {
#ifndef TEST_LINKED
    void *handle = library != NULL ? dlopen(library, RTLD_NOW) : RTLD_DEFAULT;
    CHECK(handle != NULL || library == NULL, "%s", dlerror());
    work = (void (*)(size_t, size_t))(uintptr_t)dlsym(handle, "locked_work");
    child_ends = (void (*)(void))(uintptr_t)dlsym(handle, "locked_child_ends");
    register_now = (void (*)(void))(uintptr_t)dlsym(handle, "locked_register");
#else
    CHECK(library == NULL, "a static program loads %s?", library);
    work = locked_work;
    child_ends = locked_child_ends;
    register_now = locked_register;
#endif
    CHECK(work != NULL && child_ends != NULL && register_now != NULL, "the library is not there");
}

/* The first two threads of the crowd allocate under the mutex nearly all the time. */
static void *crowd_with_mutex(void *number) {
    static const size_t sizes[] = {1 << 20, 300, 20000, 100000};
    uint64_t seed = (uint64_t)(size_t)number;
    while (!crowd_ends) {
        if ((size_t)number < 2)
            work(sizes[test_random_below(&seed, TEST_COUNT(sizes))], 4);
        else
            shelf_change(&seed, 10);
        crowd_rounds[(size_t)number]++;
    }
    return NULL;
}

static void child_works(size_t number) {
    child_uses_all(number);
    work(1000000, 10);
    child_ends();
    child_threads_use_all();
}

/* Some children fork again, and the handlers run for that fork, too. */
static void child(size_t number) {
    child_works(number);
    pid_t process = number % 8 == 0 ? fork() : 0;
    if (number % 8 == 0 && process == 0) child_works(number);
    if (process != 0) child_ended_well(process, "a child", number);
    _exit(0);
}

int main(int count, char **arguments) {
    CHECK(count <= 2, "one library at most");
    size_t forks = test_quick() ? 2 : 12;
    alarm(FORKS_SECONDS);
    find(arguments[1]);
    if (getenv("LOCKED_LATER") != NULL) register_now();
    crowd_begin_with(3, crowd_with_mutex);
    for (size_t i = 0; i < forks; i++) {
        pid_t process = fork();
        if (process == 0) child(i);
        child_ended_well(process, "a program with handlers", i);
    }
    crowd_goes_on();
    crowd_end();
    return test_ok("%zu forks", forks);
}
