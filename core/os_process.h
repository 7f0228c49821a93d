/* Threads and processes, as the kernel knows them: barriers, waiting, numbers, forks. The rules of os.h hold
 * here, too; but hak_os_wait and hak_os_process_wait wait. */
#ifndef HAK_OS_PROCESS_H
#define HAK_OS_PROCESS_H

#include "core/types.h"

/* A memory barrier in all threads of the process at once, which costs those that do not ask for it nothing. begin: once,
 * early, for the system's call is slow in a process that has several threads; false: it has none, and barrier() may not be
 * called. barrier() false: there was none. */
bool hak_os_barrier_begin(void);
bool hak_os_barrier(void);

/* Sleeps until another thread of this process wakes those that wait for the word, unless it has
 * another value already. May return early, and returns at once where the system refuses to let
 * it wait: look at the word again. */
void hak_os_wait(_Atomic uint32_t *word, uint32_t value);
/* Wakes up to `most` of those. */
void hak_os_wake(_Atomic uint32_t *word, int most);

/* The kernel's numbers of the calling thread and of its process; 0 if unknown. */
int hak_os_thread_id(void);
int hak_os_process_id(void);

/* False once the kernel does not know the thread any more: it never runs again. True also if the
 * kernel does not answer, for a later thread with the same number, and for the first thread
 * until its process ends. */
bool hak_os_thread_exists(int process, int thread);

/* True if the calling thread, whose number this is, is in the last part of its end, where no destructor runs any more and libc frees stacks: glibc
 * has blocked all signals then, also the one of its own that pthread_sigmask(3) never blocks. False where that is not
 * known. */
bool hak_os_thread_ends(int thread);

/* True if the process runs with more rights than its caller (AT_SECURE): its environment is hostile. */
bool hak_os_is_secure(void);

/* True if the calling thread is the process's first; in a child of fork, the one that forked. */
bool hak_os_thread_is_first(void);

/* What has been done about the fork that made this process. Each child of fork(2) or clone(2)
 * that has its memory to itself is new; one that shares the parent's (vfork) is not. Needs
 * MADV_WIPEONFORK (Linux 4.14); elsewhere the handler of fork has to tell, by
 * hak_os_process_began. */
enum hak_process {
    HAK_PROCESS_NEW = 0,   /* as the kernel's zero */
    HAK_PROCESS_LOCKS = 1, /* the locks of threads that do not exist here are lost (lock.h) */
    HAK_PROCESS_KNOWN = 2, /* nobody takes those threads for live ones any more (seize.h) */
    HAK_PROCESS_BUSY =
        4 /* on the way from new to locks; the lower half of the thread's name (lock.h) is added */
};
extern HAK_HIDDEN _Atomic(_Atomic uint32_t *) hak_os_process;

void hak_os_process_begin(
    void *page);                 /* once, with a zero page for it, before there is a lock to take */
void hak_os_process_began(void); /* by the handler of fork in the child, before all else */

/* Acquire: what was done before the state was set. No step of the explorer's, for hardly ever is
 * there news. */
static inline uint32_t hak_os_process_state(void) {
    _Atomic uint32_t *state =
        __atomic_load_n((_Atomic uint32_t **)(uintptr_t)&hak_os_process, __ATOMIC_ACQUIRE);
    return __atomic_load_n((uint32_t *)(uintptr_t)state, __ATOMIC_ACQUIRE);
}

/* False: the state is not `from`, or no longer. Wakes who waits for the end of a busy one. */
bool hak_os_process_set(uint32_t from, uint32_t to);
/* Returns some time after the state has changed from `state`. */
void hak_os_process_wait(uint32_t state);

#endif
