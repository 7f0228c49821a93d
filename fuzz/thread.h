/* Included before each file of the fuzz variants and of explore: the thread that core/ works for may be a virtual one
 * (state.h). */
#ifndef HAK_FUZZ_THREAD_H
#define HAK_FUZZ_THREAD_H

struct hak_thread;
extern struct hak_thread *fuzz_virtual_thread; /* NULL: it is the system's */

#define HAK_THREAD (*(fuzz_virtual_thread != NULL ? fuzz_virtual_thread : &hak_thread))

#endif
