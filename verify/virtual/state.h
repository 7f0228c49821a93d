/* The state of the allocator before and after an input. Every input begins with the same heap, time
 * and policy, so that a finding can be replayed from its file alone.
 *
 * Virtual threads: one thread of the system acts as several threads of the program, one after the
 * other, by changing HAK_THREAD (virtual/thread.h). Thread 0 has a heap when the input begins; the
 * others get a heap at first use, as real threads do. The last one, FUZZ_THREAD_GONE, has given its
 * heap back already, like a thread that allocates in a destructor that runs after the allocator's
 * own: the heap that it gets is untracked. */
#ifndef HAK_VIRTUAL_STATE_H
#define HAK_VIRTUAL_STATE_H

#include "core/policy.h"
#include "verify/virtual/system.h"

#define FUZZ_THREADS     4u
#define FUZZ_THREAD_GONE (FUZZ_THREADS - 1)

/* To be called before the first input; later calls do nothing. Sets audit level 3, and makes the
 * first state: the state that all inputs begin with. */
void fuzz_state_init(void);

/* Proves that the heap is empty, and restores the first state. `torn`: calls to the system failed,
 * so parts of the range may be lost; their addresses are mapped anew. */
void fuzz_state_end(bool torn);

/* Restores the first state without any proof: for runs whose end state is unknown. */
void fuzz_state_drop(void);

/* Restores the state before the first use of the allocator: no range, and no thread has a heap. The
 * run must end with fuzz_state_untouched_end, which proves that the heap is empty and restores the
 * first state. */
void fuzz_state_untouched(void);
void fuzz_state_untouched_end(void);

void fuzz_thread_switch(unsigned thread);

/* True if the address lies in what core/ keeps for a virtual thread. */
bool fuzz_is_of_thread(uintptr_t address);

/* Slow paths of the running virtual thread; they do nothing if it has no heap. */
void fuzz_flush(unsigned bin);
void fuzz_flush_all(void);
void fuzz_collect(void);

/* The running thread ends, and gives its heap back if it has one. An untracked heap stays as it is,
 * because nobody sees the thread's end. Later calls are those of a thread that has ended. */
void fuzz_thread_teardown(void);

/* The running thread ends. Its next call is that of a new thread or, of FUZZ_THREAD_GONE, that of a
 * thread whose heap was given back. Does nothing in thread 0. */
void fuzz_thread_end(void);

#endif
