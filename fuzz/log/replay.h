/* A replay: operations of a log, done again on the allocator that the program is linked with. */
#ifndef HAK_FUZZ_LOG_REPLAY_H
#define HAK_FUZZ_LOG_REPLAY_H

#include "fuzz/log/file.h"

/* The allocator did something wrong: says which operation it was, and ends the program. */
_Noreturn void replay_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Does one operation, proves its outcome; on the thread whose it is. */
void replay_do(const struct oplog_op *op);

/* ---- the baton: which thread runs ------------------------------------------------------------ */

/* `real`: each virtual thread is a thread of the system, for as long as it lives, and one runs at a time. Else one thread
 * of the system does everything. */
void baton_init(bool real, size_t threads);

/* The operation is done by its thread, after all that were given before. */
void baton_give(const struct oplog_op *op);

/* All is done, and all threads have ended, the lowest number first. */
void baton_end(void);

struct baton_figures {
    uint64_t threads;  /* that began */
    uint64_t switches; /* from one to another */
};
const struct baton_figures *baton_figures(void);

#endif
