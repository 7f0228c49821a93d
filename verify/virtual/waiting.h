/* The system as the explorer models it: system calls are steps, and in a fork's child one thread
 * goes on alone. */
#ifndef HAK_VIRTUAL_WAITING_H
#define HAK_VIRTUAL_WAITING_H

#include <stdbool.h>

/* Makes each call through the table hak_os a step. Once. */
void explore_system_begin(void);

/* Run the handlers that core/ has registered with pthread_atfork: before a fork, and after it in
 * the parent or in the child. */
void explore_fork_prepare(void);
void explore_fork_parent(void);
void explore_fork_child(void);

#endif
