/* A model of coherent caches: each thread has a processor and a cache of its own. The model knows
 * which threads have which 64-byte line.
 *
 *   read    a transfer if the thread does not have the line and another thread wrote it
 *   write   a transfer if any other thread has the line; the other threads lose it
 *
 * Any thread: the state of a line is one word, which is changed atomically. The caches are
 * unlimited, so a line leaves a cache only because another thread writes it. */
#ifndef HAK_COUNTS_LINES_H
#define HAK_COUNTS_LINES_H

#include <stdbool.h>
#include <stdint.h>

#define LINES_THREADS 63u /* thread numbers are below this one */

/* Starts without any line. To be called before there are threads. */
void lines_begin(void);

/* True if the access needs a transfer. */
bool lines_read(uintptr_t address, unsigned thread);
bool lines_write(uintptr_t address, unsigned thread);

#endif
