/* Follows the happens-before order of a run, as the memory orders in core/ define it.
 *
 * There are two uses. First, races: two plain accesses by different fibers to the same bytes, at
 * least one of them a write, race if they are not ordered, whatever order they had in this run.
 * Second, states: two runs with the same order of conflicting steps are in the same state. The
 * state is hashed to one number, which tells whether it was seen before. */
#ifndef HAK_EXPLORE_TRACE_H
#define HAK_EXPLORE_TRACE_H

#include "verify/virtual/scheduler.h"

void explore_trace_begin(void);

/* `fiber` does this step now. */
void explore_trace_step(unsigned fiber, const struct explore_step *step);

/* `fiber` goes on alone in a child of fork: all that the other fibers did happens before. */
void explore_trace_fork(unsigned fiber);

/* A plain access of core/. The first function notes which fiber accesses the words. The second ends
 * the program if the access is part of a race. */
void explore_trace_access(unsigned fiber, uintptr_t address, size_t size);
void explore_trace_race(unsigned fiber, uintptr_t address, size_t size, bool is_write);

/* Adds something else to the state that tells this run from others, such as a held store. */
void explore_trace_differs(unsigned fiber, uint64_t how);

/* The number of the state: equal in two runs that can continue in the same ways. */
uint64_t explore_trace_state(unsigned running);

/* True for memory that threads share: core/'s variables, its tables, blocks, and what core/ keeps
 * for each virtual thread. False for stacks and other thread-local variables. */
bool explore_is_shared(uintptr_t address);

/* True if another fiber has accessed the word at this address, in any run so far. The second
 * function returns how many words were accessed by more than one fiber. */
bool explore_trace_others(unsigned fiber, uintptr_t address);
size_t explore_trace_shared_words(void);

#endif
