/* A library that opens another one, by a name that only its own RUNPATH finds: the loader goes by who calls. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

void *outer_opens(const char *name, int with_namespace);
/* Not the last thing that the function does: its frame must be there. */
void *outer_opens(const char *name, int with_namespace) {
    void *volatile opened = with_namespace ? dlmopen(LM_ID_BASE, name, RTLD_NOW | RTLD_DEEPBIND)
                                           : dlopen(name, RTLD_NOW | RTLD_DEEPBIND);
    return opened;
}
