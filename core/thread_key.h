/* The thread-specific key whose destructor runs when a thread ends. It is libc's, because
 * nothing else reports a thread's end. */
#ifndef HAK_THREAD_KEY_H
#define HAK_THREAD_KEY_H

#include <stdbool.h>

/* Once, before the other functions. */
void hak_thread_key_init(void);

/* `ends` will be called with `value` when the calling thread ends; false: its end will not be
 * reported. May allocate. */
bool hak_thread_key_set(void *value, void (*ends)(void *value));

/* Has the destructor run at the end of the calling thread, with some value, if there is a key
 * already. */
void hak_thread_key_arm(void);

#endif
