/* Threads and processes as the kernel knows them: barriers, waiting, numbers, forks. The contract
 * in the head of os.h holds here too, except that hak_os_wait and hak_os_process_wait wait. */
#ifndef HAK_OS_PROCESS_H
#define HAK_OS_PROCESS_H

#include "core/types.h"

/* A memory barrier in all threads of the process at once (membarrier(2)); the other threads need no
 * instruction for it.
 * init: once, and early, because the system call is slow in a process that has several threads.
 * False if the system has no such call; hak_os_barrier must not be called then.
 * hak_os_barrier: false if no barrier took place. */
bool hak_os_barrier_init(void);
bool hak_os_barrier(void);

/* Sleeps until another thread of this process wakes the threads that wait for the word. Does not
 * sleep if the word has another value than `value` already. May return early, and returns at once
 * where the system refuses to wait: the caller looks at the word again. */
void hak_os_wait(_Atomic uint32_t *word, uint32_t value);
/* Wakes up to `most` of the threads that wait for the word. */
void hak_os_wake(_Atomic uint32_t *word, int most);

/* The kernel's numbers of the calling thread and of its process. 0 if unknown. */
int hak_os_thread_id(void);
int hak_os_process_id(void);

/* False once the kernel does not know the thread any more: the thread never runs again. True also
 * if the kernel does not answer, for a later thread with the same number, and for the first thread
 * until its process ends. */
bool hak_os_thread_exists(int process, int thread);

/* True if the calling thread, whose number is `thread`, is in the last part of its end, where no
 * destructor runs any more and libc frees stacks. glibc has blocked all signals then, even its own
 * signal that pthread_sigmask(3) never blocks. False if unknown. */
bool hak_os_thread_is_past_destructors(int thread);

/* True if the process has more rights than its caller (AT_SECURE): its environment must not be
 * trusted. */
bool hak_os_is_secure(void);

/* True if the calling thread is the process's first thread; in a child of fork, the thread that
 * forked. */
bool hak_os_thread_is_first(void);

/* How far the allocator has dealt with the fork that made this process. Each child of fork(2) or
 * clone(2) with memory of its own is new; a child that shares the parent's memory (vfork) is not.
 * This needs MADV_WIPEONFORK (Linux 4.14); without it the handler of fork has to call
 * hak_os_fork_word_reset. */
enum hak_process {
    HAK_PROCESS_NEW = 0, /* the kernel wiped the word */
    /* The locks of threads that do not exist here are marked as stale (lock.h). */
    HAK_PROCESS_LOCKS = 1,
    /* No heap counts as a heap of those threads any more; heaps may be seized (seize.h). */
    HAK_PROCESS_KNOWN = 2,
    /* On the way from new to locks. The lower half of the name (lock.h) of the thread that does
     * this is added. */
    HAK_PROCESS_BUSY = 4
};
extern HAK_HIDDEN _Atomic(_Atomic uint32_t *) hak_os_process;

/* Once, with a zero page for the word. Under the heaps' lock, before a heap exists. */
void hak_os_fork_word_init(void *page);
/* The handler of fork calls this in the child before all else. */
void hak_os_fork_word_reset(void);

/* Acquire: a thread that sees a state also sees what was done before the state was set. The
 * explorer does not schedule here, because the state hardly ever changes. */
static inline uint32_t hak_os_process_state(void) {
    _Atomic uint32_t *state =
        __atomic_load_n((_Atomic uint32_t **)(uintptr_t)&hak_os_process, __ATOMIC_ACQUIRE);
    return __atomic_load_n((uint32_t *)(uintptr_t)state, __ATOMIC_ACQUIRE);
}

/* Changes the state from `from` to `to`; false if the state is not `from`. Wakes the threads that
 * wait for the end of a busy state. */
bool hak_os_process_set(uint32_t from, uint32_t to);
/* Waits as long as the state is `state`. May return early, as hak_os_wait. */
void hak_os_process_wait(uint32_t state);

#endif
