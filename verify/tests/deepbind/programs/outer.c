/* A library that opens another one, by a name that only its own RUNPATH finds: the loader uses the
 * RUNPATH of the caller. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

void *outer_opens(const char *name, int with_namespace);
/* The call is not the last action of this function, so that its frame exists during the call. */
void *outer_opens(const char *name, int with_namespace) {
    void *volatile opened = with_namespace ? dlmopen(LM_ID_BASE, name, RTLD_NOW | RTLD_DEEPBIND)
                                           : dlopen(name, RTLD_NOW | RTLD_DEEPBIND);
    return opened;
}
