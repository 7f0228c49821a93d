/* A library with one mutex, which fork finds free in the child: it has handlers for that, as
 * many have. Its users allocate while they hold the mutex, and so do its handlers. */
#ifndef HAK_VERIFY_LOCKED_H
#define HAK_VERIFY_LOCKED_H

#include <stddef.h>

/* Registers the handlers, in the library's constructor unless LOCKED_LATER is in the
 * environment. */
void locked_register(void);

/* Under the mutex, so often: a block of this size takes the place of one that another thread may
 * have allocated. */
void locked_work(size_t size, size_t times);

/* In a child: joins the thread that the handler has begun there. */
void locked_child_ends(void);

#endif
