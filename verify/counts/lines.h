/* A model of coherent caches: which threads, each on a processor of its own, have which 64-byte line.
 *
 *   read    by a thread that does not have the line, which another one wrote: it comes from there (a transfer)
 *   write   by a thread that is not the only one to have the line: the others lose it (a transfer)
 *
 * Any thread; a line is one word that is changed in one. Caches have no end, so only what threads do to each other counts. */
#ifndef HAK_COUNTS_LINES_H
#define HAK_COUNTS_LINES_H

#include <stdbool.h>
#include <stdint.h>

#define LINES_THREADS 63u /* threads have numbers below */

/* Forgets all lines; before there are threads. */
void lines_begin(void);

/* True if it takes a transfer. */
bool lines_read(uintptr_t address, unsigned thread);
bool lines_write(uintptr_t address, unsigned thread);

#endif
