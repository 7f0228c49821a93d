/* The threads of fuzz_remote: virtual threads, or real ones if FUZZ_REAL_THREADS is defined. */
#ifndef HAK_FUZZ_REMOTE_THREADS_H
#define HAK_FUZZ_REMOTE_THREADS_H

#include "fuzz/schedule.h"

/* The running thread. */
unsigned fuzz_remote_thread(void);

/* Does the input's operations, each on its thread. */
void fuzz_remote_run(const uint8_t *data, size_t size, void (*run)(const struct fuzz_op *op));

#endif
