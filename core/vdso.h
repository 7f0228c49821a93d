/* The vDSO (vdso(7)): code of the kernel in each process, which reads the clock without a system
 * call. */
#ifndef HAK_VDSO_H
#define HAK_VDSO_H

#include <stdint.h>

/* The address of a function in the vDSO image that begins at `image`; NULL if there is no such
 * function. The image comes from the kernel and is trusted. Both kinds of hash table are read only
 * for the number of symbols. */
void *hak_vdso_find(uintptr_t image, const char *name);

#endif
