/* What a child of fork does with the heaps of its parent's other threads, which do not exist
 * there. */
#ifndef HAK_FORK_CHILD_H
#define HAK_FORK_CHILD_H

#include "core/heap.h"
#include "core/os_process.h"

/* Before a fork: marks the untracked heaps whose threads are gone, so that the child does not
 * lose them. Takes no lock. */
void hak_heap_fork_prepare(void);

/* In a child of fork, where the parent's other threads do not exist. The heaps that are whole
 * become orphans, which are added to the abandoned heaps when a thread needs a heap. A heap that
 * such a thread was at work on is lost, or stays held if its thread is not known. Runs once for
 * each fork, in the thread that forked: called by the handler of fork or, where no handler runs,
 * when that thread looks for memory. */
void hak_heap_fork_child(void);

static inline void hak_heap_after_fork(void) {
    if (HAK_UNLIKELY(hak_os_process_state() != HAK_PROCESS_KNOWN)) hak_heap_fork_child();
}

/* From here on no handler of fork runs, and libc may unmap the stacks of threads that are gone
 * before a child looks at them. A child reads nothing there. */
void hak_fork_handlers_missing(void);
bool hak_fork_has_handlers(void);

#endif
