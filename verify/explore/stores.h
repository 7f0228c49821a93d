/* Models store buffers: a store that a fiber has made since it began to run may stay invisible
 * while other fibers run.
 *
 *   sc     every store is visible at once
 *   tso    stores become visible in their order; locked instructions and system calls wait for all
 *          earlier stores
 *   weak   a store may be overtaken by later stores, but not by stores that release or go to the
 *          same bytes; a read-modify-write that releases waits for all earlier stores, any other
 *          read-modify-write waits for the stores to its word
 *
 * A store that is held back when its fiber is left is undone in memory, and done again when the
 * fiber goes on. */
#ifndef HAK_EXPLORE_STORES_H
#define HAK_EXPLORE_STORES_H

#include "verify/virtual/scheduler.h"

enum explore_memory { EXPLORE_SC, EXPLORE_TSO, EXPLORE_WEAK };

void explore_stores_begin(enum explore_memory memory);

/* To be called before each step and each plain write of the running fiber. */
void explore_stores_step(const struct explore_step *step);
void explore_stores_write(void *address, size_t size);

/* How many stores could be held back, and the address of one of them. Numbers begin at 1. */
unsigned explore_stores_count(void);
uintptr_t explore_stores_address(unsigned number);

/* `fiber` is left: holds back store `held` and the stores that may not overtake it. 0: holds back
 * no store. */
void explore_stores_leave(unsigned fiber, unsigned held);

/* `fiber` goes on: does the stores that were held back. */
void explore_stores_return(unsigned fiber);

#endif
