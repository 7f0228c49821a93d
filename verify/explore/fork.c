#include <pthread.h>

#include "core/os_process.h"
#include "verify/explore/stores.h"
#include "verify/virtual/waiting.h"
#include "verify/explore/trace.h"

static void (*fork_prepare)(void), (*fork_parent)(void), (*fork_child)(void);

int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int __real_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void)) {
    fork_prepare = prepare;
    fork_parent = parent;
    fork_child = child;
    return __real_pthread_atfork(prepare, parent, child);
}

void explore_fork_prepare(void) {
    fork_prepare();
}
void explore_fork_parent(void) {
    fork_parent();
}
void explore_fork_child(void) {
    /* All stores of the other threads are in memory: the kernel interrupts their processors before
     * the fork is over. */
    for (unsigned fiber = 0; fiber < EXPLORE_FIBERS; fiber++)
        explore_stores_return(fiber);
    explore_only_me();
    explore_trace_fork(explore_fiber());
    hak_os_process_set(HAK_PROCESS_KNOWN, HAK_PROCESS_NEW);
    fork_child();
}
