/* The thread-specific key whose destructor sees a thread's end: libc's own, for nothing else tells. */
#ifndef HAK_THREAD_KEY_H
#define HAK_THREAD_KEY_H

#include <stdbool.h>

/* Once, before the first of these. */
void hak_thread_key_begin(void);

/* `ends` will be called with `value` when the calling thread ends; false: nobody will tell. May allocate. */
bool hak_thread_key_set(void *value, void (*ends)(void *value));

/* The same with some value, if there is a key already. */
void hak_thread_key_keep(void);

#endif
