/* A library with one mutex. Its fork handlers make the mutex free in the child, as those of many
 * libraries do. Users of the library allocate while they hold the mutex, and so do the handlers. */
#ifndef HAK_VERIFY_LOCKED_H
#define HAK_VERIFY_LOCKED_H

#include <stddef.h>

/* Registers the handlers. The library's constructor calls this, unless LOCKED_LATER is in the
 * environment. */
void locked_register(void);

/* Does this `times` times, under the mutex: puts a new block of `size` bytes in the place of a
 * block that another thread may have allocated. */
void locked_work(size_t size, size_t times);

/* In a child: joins the thread that the handler has begun in the child. */
void locked_child_ends(void);

#endif
