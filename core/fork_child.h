/* What a child of fork does about the heaps of its parent's threads, which do not exist there. */
#ifndef HAK_FORK_CHILD_H
#define HAK_FORK_CHILD_H

#include "core/heap.h"
#include "core/os_process.h"

/* Before a fork: finds late heaps whose threads are gone, which are not lost to the child. Takes
 * no lock. */
void hak_heap_fork_prepare(void);

/* In a child of fork, whose parent's other threads do not exist: the heaps that none of them was
 * at work on become orphans, and the pool's when somebody needs one. What is unknown of the
 * others stays as it is. Once for each fork, by the thread that forked: by the handler of fork
 * or, where none runs, when that thread looks for memory. */
void hak_heap_fork_child(void);

static inline void hak_heap_after_fork(void) {
    if (HAK_UNLIKELY(hak_os_process_state() != HAK_PROCESS_KNOWN)) hak_heap_fork_child();
}

/* From here on children of fork are not seen, and libc may unmap the stacks of threads that are gone: nothing there is read. */
void hak_fork_children_unseen(void);

#endif
