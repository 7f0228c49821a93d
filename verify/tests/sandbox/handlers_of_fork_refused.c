/* fork where libc has refused the allocator's handlers. Threads of the parent hold memory, and
 * others allocate. In the child, libc unmaps the stacks of the threads that are gone, and with
 * them the allocator's records of these threads. The child, and a child of the child, must be
 * able to do all that a program does. */
#include <sys/wait.h>

#include "../process.h"
#include "../threads/threads.h"

enum { HOLDERS = 8, BUSY = 2, CHILDREN = 20, CHILD_SECONDS = 600 };

static atomic_int holding;
static atomic_bool ends;

/* Starts a thread with a stack of 32 MiB. These stacks are more than libc caches for new threads,
 * so libc unmaps them. */
static pthread_t start_with_large_stack(void *(*body)(void *)) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 32 * MIB);
    int error = pthread_create(&thread, &attributes, body, NULL);
    CHECK(error == 0, "pthread_create: %d", error);
    return thread;
}

static void *hold(void *unused) {
    process_work_a_little();
    atomic_fetch_add(&holding, 1);
    while (!atomic_load(&ends))
        usleep(1000);
    return unused;
}

static void *work(void *unused) {
    do {
        process_work_a_little();
        free(malloc(5 * MIB));
    } while (!atomic_load(&ends));
    return unused;
}

static void go_on(int generation) {
    int status;
    alarm(CHILD_SECONDS);
    atomic_store(&ends, true);
    for (int n = 0; n < 5; n++) {
        thread_join(start_with_large_stack(work));
        work(NULL);
        malloc_trim(0);
    }
    if (generation == 0) return;
    pid_t child = fork();
    if (child == 0) {
        go_on(generation - 1);
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0,
          "a child's child: status %#x", status);
}

int main(void) {
    pthread_t threads[HOLDERS + BUSY];
    int status;
    test_needs_hakmem();
    for (size_t i = 0; i < HOLDERS + BUSY; i++)
        threads[i] = start_with_large_stack(i < HOLDERS ? hold : work);
    while (atomic_load(&holding) < HOLDERS)
        usleep(1000);
    for (int n = 0; n < CHILDREN; n++) {
        process_work_a_little();
        pid_t child = fork();
        if (child == 0) {
            go_on(1);
            _exit(0);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0,
              "child %d: status %#x", n, status);
    }
    atomic_store(&ends, true);
    for (size_t i = 0; i < HOLDERS + BUSY; i++)
        thread_join(threads[i]);
    malloc_trim(0);
    return test_ok("%d children", CHILDREN);
}
