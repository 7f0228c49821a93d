/* The process as the explorer has it: calls to the system are steps, and a fork is one thread that goes on alone. */
#ifndef HAK_EXPLORE_SYSTEM_H
#define HAK_EXPLORE_SYSTEM_H

#include <stdbool.h>

/* From here on each call through the table hak_os is a step. Once. */
void explore_system_begin(void);

/* What core/ has asked pthread_atfork for: before a fork, and after it in the parent and in the child. */
void explore_fork_prepare(void);
void explore_fork_parent(void);
void explore_fork_child(void);

#endif
