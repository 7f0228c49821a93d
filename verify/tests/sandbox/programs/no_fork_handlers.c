/* Preloaded before HAKMEM: libc has no memory for handlers of fork. */
#include <errno.h>

int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
                      void *object);

int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
                      void *object) {
    (void)prepare, (void)parent, (void)child, (void)object;
    return ENOMEM;
}
