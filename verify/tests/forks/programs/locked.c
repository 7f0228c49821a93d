#include "forks/programs/locked.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PLACES = 16 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static void *places[PLACES];
static size_t next;
static pthread_t locked_thread;
static _Atomic int locked_ends, locked_rounds;

static void use(size_t size) {
    char *block = malloc(size);
    if (block == NULL) abort();
    memset(block, 1, size);
    free(places[next % PLACES]);
    places[next++ % PLACES] = block;
}

void locked_work(size_t size, size_t times) {
    pthread_mutex_lock(&mutex);
    for (; times > 0; times--)
        use(size);
    pthread_mutex_unlock(&mutex);
}

static void *allocate(void *unused) {
    static const size_t sizes[] = {20, 900, 5000, 20000, 50000, 300000, 1500000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *block = calloc(1, sizes[i]);
        if (block == NULL) abort();
        block = realloc(block, sizes[i] * 3 / 2);
        if (block == NULL) abort();
        free(block);
    }
    return unused;
}

/* Another thread allocates and frees, in the middle of a fork. */
static void by_a_thread(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, allocate, NULL) != 0) abort();
    if (pthread_join(thread, NULL) != 0) abort();
}

static void *allocate_till_the_end(void *unused) {
    do {
        allocate(NULL);
        locked_rounds++;
        usleep(2000);
    } while (!locked_ends);
    return unused;
}

static void locked_prepare(void) {
    pthread_mutex_lock(&mutex);
    allocate(NULL);
    by_a_thread();
    use(700);
}

static void locked_parent(void) {
    use(70000);
    by_a_thread();
    pthread_mutex_unlock(&mutex);
    allocate(NULL);
}

/* The new thread goes on while handlers run that were registered later. */
static void locked_child(void) {
    allocate(NULL);
    use(7000);
    locked_ends = locked_rounds = 0;
    if (pthread_create(&locked_thread, NULL, allocate_till_the_end, NULL) != 0) abort();
    while (locked_rounds == 0)
        sched_yield();
    pthread_mutex_unlock(&mutex);
}

void locked_child_ends(void) {
    locked_ends = 1;
    if (pthread_join(locked_thread, NULL) != 0) abort();
}

void locked_register(void) {
    if (pthread_atfork(locked_prepare, locked_parent, locked_child) != 0) abort();
}

/* Runs before the constructor of a library that is linked into the same program. */
__attribute__((constructor(101))) static void begin(void) {
    if (getenv("LOCKED_LATER") == NULL) locked_register();
}
