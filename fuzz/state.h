/* What an input finds, and leaves: every input begins with the same heap, time and policy, so that
 * a finding replays from its file alone.
 *
 * Virtual threads: one thread of the system plays several threads of the program, one after the
 * other, by changing what hak_thread_heap() shows. Thread 0 has a heap when the input begins;
 * the others get theirs at first use, as real threads do. The last one has given its heap back:
 * it allocates in a destructor that comes late, and nobody will see its end. */
#ifndef HAK_FUZZ_STATE_H
#define HAK_FUZZ_STATE_H

#include "core/policy.h"
#include "fuzz/system.h"

#define FUZZ_THREADS     4u
#define FUZZ_THREAD_GONE (FUZZ_THREADS - 1)

/* Before the first input, later calls do nothing: audit level 3, and the state that all inputs begin with. */
void fuzz_state_init(void);

/* The heap must be empty: proves that, and goes back to the first state. `torn`: calls to the system failed, so parts of
 * the range may be lost, and their place is mapped anew. */
void fuzz_state_end(bool torn);

/* The same, whatever the state of the heap: for runs of which nobody can say what is left. */
void fuzz_state_drop(void);

/* Back to before the first use: no range, no heap, for no thread. Ends like fuzz_state_end, but the next state is again the
 * first one. */
void fuzz_state_untouched(void);
void fuzz_state_untouched_end(void);

void fuzz_thread_switch(unsigned thread);

/* True if there is what core/ keeps of a thread. */
bool fuzz_is_of_thread(uintptr_t address);

/* Slow paths of the thread that runs; nothing if it has no heap. */
void fuzz_flush(unsigned bin);
void fuzz_flush_all(void);
void fuzz_collect(void);

/* The thread that runs gives its heap back, if it has one, or, where nobody sees its end,
 * vanishes with it; its calls are those of a thread that has ended. */
void fuzz_thread_teardown(void);

/* The thread that runs ends; its next call is that of a new thread, or of one whose heap was
 * given back. Thread 0 stays. */
void fuzz_thread_end(void);

#endif
