/* A replay: operations of a log, done again on the allocator that the program is linked with. */
#ifndef HAK_FUZZ_LOG_REPLAY_H
#define HAK_FUZZ_LOG_REPLAY_H

#include "fuzz/log/file.h"

/* Reports an error of the allocator and the operation in which it was seen; ends the program. */
_Noreturn void replay_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Does one operation and proves its outcome. Called by the thread that the operation belongs to. */
void replay_do(const struct oplog_op *op);

/* ---- the baton: which thread runs ------------------------------------------------------------ */

/* `real`: each virtual thread is a thread of the system for as long as it lives, and one thread
 * runs at a time. Otherwise one thread of the system does everything. */
void baton_init(bool real, size_t threads);

/* Gives an operation to its thread, which does it after all operations that were given before. */
void baton_give(const struct oplog_op *op);

/* Waits until all operations are done, and ends all threads, the lowest number first. */
void baton_end(void);

struct baton_figures {
    uint64_t threads;  /* threads that began */
    uint64_t switches; /* from one thread to another */
};
const struct baton_figures *baton_figures(void);

#endif
