/* A library that is preloaded before HAKMEM: it refuses each handler of fork, as if libc had no
 * memory. */
#include <errno.h>

int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
                      void *object);

int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
                      void *object) {
    (void)prepare, (void)parent, (void)child, (void)object;
    return ENOMEM;
}
