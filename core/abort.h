/* How the process ends after an error was found: always by SIGABRT.
 *
 *   hak_abort_begin()    no signal, no cancel and no lock of ours is in the way of the message
 *   ...                  the message
 *   hak_abort()          the program's handler of SIGABRT runs, if there is one; then the default action
 *
 * From its message on the thread does not use its heap, whose lists may be in any state: what the handler allocates comes
 * from heaps that are borrowed for one operation. A second thread that finds an error meanwhile writes its message, and
 * waits a few seconds for the first one to end the process. An error in the handler ends the process at once.
 *
 * A handler that leaves by longjmp, pthread_exit or exit saves nothing: the thread's next slow call of the allocator, its
 * end, or exit() of any thread ends the process by the default action. A child that the handler forks is free to go on. */
#ifndef HAK_ABORT_H
#define HAK_ABORT_H

#include "core/types.h"

void hak_abort_begin(void);
_Noreturn void hak_abort(void);

/* True in an error that was found while the thread's first one was reported or handled. */
bool hak_abort_is_nested(void);

/* The calling thread has reported an error, and calls the allocator: returns if that comes from the handler. */
void hak_abort_recheck(void);

/* The calling thread ends and has reported an error, or the process ends by exit(): returns if no error was found in this
 * process. */
void hak_abort_finish(void);

#endif
