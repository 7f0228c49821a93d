/* Included before each file of the fuzz variants and of the explorer. HAK_THREAD is the thread that
 * core/ works for: a virtual thread (verify/virtual/state.h) or the system's thread. */
#ifndef HAK_VIRTUAL_THREAD_H
#define HAK_VIRTUAL_THREAD_H

struct hak_thread;
extern struct hak_thread *fuzz_virtual_thread; /* NULL: the system's thread */

#define HAK_THREAD (*(fuzz_virtual_thread != NULL ? fuzz_virtual_thread : &hak_thread))

#endif
