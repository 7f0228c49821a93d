/* How the process ends after an error was found: always by SIGABRT.
 *
 *   hak_abort_begin()    keeps signals, cancellation and our locks out of the way of the message
 *   ...                  the message
 *   hak_abort()          runs the program's handler of SIGABRT, if any; then the default action
 *
 * From its message on, the thread does not use its heap, whose lists may be in any state. What
 * the handler allocates comes from heaps that are borrowed for one operation. A second thread
 * that finds an error meanwhile writes its message, and waits a few seconds for the first one to
 * end the process. An error in the handler ends the process at once.
 *
 * A handler that leaves by longjmp, pthread_exit or exit does not save the process: the thread's
 * next slow call of the allocator, its end, or exit() of any thread ends the process by the
 * default action. A child that the handler forks may go on. */
#ifndef HAK_ABORT_H
#define HAK_ABORT_H

#include "core/types.h"

void hak_abort_begin(void);
_Noreturn void hak_abort(void);

/* True while an error is reported that was found during the report or the handling of the
 * thread's first one. */
bool hak_abort_is_nested(void);

/* For a thread that has reported an error and calls the allocator: returns if its handler of
 * SIGABRT still runs, else ends the process. */
void hak_abort_look_again(void);

/* For a thread that ends after it has reported an error, and for a process that ends by exit():
 * returns if no error was found in this process, else ends the process. */
void hak_abort_finish(void);

#endif
