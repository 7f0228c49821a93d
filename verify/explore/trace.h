/* What is ordered with what in a run, by the memory orders that core/ asks for.
 *
 * Two things come of it. A plain access that is not ordered with an earlier one by another fiber to the same bytes, one
 * of the two a write, is a race, in whatever order they happened this time. And two runs that led to the same order of
 * conflicting steps led to the same state: one number tells whether it was seen before. */
#ifndef HAK_EXPLORE_TRACE_H
#define HAK_EXPLORE_TRACE_H

#include "verify/explore/scheduler.h"

void explore_trace_begin(void);

/* `fiber` does this now. */
void explore_trace_step(unsigned fiber, const struct explore_step *step);

/* `fiber` goes on alone in a child of fork: all that the others did comes before. */
void explore_trace_fork(unsigned fiber);

/* A plain access of core/, and whether it races: that ends the program. */
void explore_trace_access(unsigned fiber, uintptr_t address, size_t size);
void explore_trace_race(unsigned fiber, uintptr_t address, size_t size, bool is_write);

/* What else tells this run from others, such as a store that is held back. */
void explore_trace_differs(unsigned fiber, uint64_t how);

/* Equal in two runs that could go on in the same ways. */
uint64_t explore_trace_state(unsigned running);

/* Memory that threads share: core/'s variables, its tables, and blocks. Stacks and thread-local variables are not. */
bool explore_is_shared(uintptr_t address);

/* Whether any other fiber ever came near these bytes, over all runs so far; and how many words more than one came near. */
bool explore_trace_others(unsigned fiber, uintptr_t address);
size_t explore_trace_shared_words(void);

#endif
