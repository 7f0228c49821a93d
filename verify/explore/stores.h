/* Store buffers, by undoing: what a fiber has stored since it began to run may stay unseen while others run.
 *
 *   sc     every store is seen at once
 *   tso    stores are seen in their order; locked instructions and the system's calls wait for all before them
 *   weak   a store may be overtaken by later ones, but for those that release, and those to the same bytes; what
 *          releases and changes a word at once waits for all before it, what only changes it for the stores to that word
 *
 * A store that is held back when its fiber is left is taken back in memory and done again when the fiber goes on. */
#ifndef HAK_EXPLORE_STORES_H
#define HAK_EXPLORE_STORES_H

#include "verify/explore/scheduler.h"

enum explore_memory { EXPLORE_SC, EXPLORE_TSO, EXPLORE_WEAK };

void explore_stores_begin(enum explore_memory memory);

/* The fiber that runs is about to do this. */
void explore_stores_step(const struct explore_step *step);
void explore_stores_write(void *address, size_t size);

/* How many stores could be held back, and where number i of them, from 1, goes to. */
unsigned explore_stores_count(void);
uintptr_t explore_stores_address(unsigned number);

/* `fiber` is left: holds back store `held`, and those that may not overtake it; 0: none. */
void explore_stores_leave(unsigned fiber, unsigned held);

/* `fiber` goes on: its stores are done. */
void explore_stores_return(unsigned fiber);

#endif
