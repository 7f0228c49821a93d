/* libhakmem.so cannot be unloaded: it is linked with -z nodelete, for threads end through its code and blocks of it live
 * on. An archive cannot ask for that. So an object that the archive was linked into, such as a plugin, asks for itself
 * when it is loaded. */
#include <dlfcn.h>
#include <link.h>
#include <stddef.h>

/* Weak: no static program has a loader, and before glibc 2.34 not every program had these. */
__attribute__((weak)) int dladdr1(const void *address, Dl_info *info, void **extra, int flags);
__attribute__((weak)) void *dlopen(const char *file, int mode);

static const char anchor; /* lies in the object */

/* By its own name the loader finds the object in its list, also where there is no such file any more. The program itself
 * has an empty name, and stays. */
__attribute__((constructor)) static void pin(void) {
    Dl_info info;
    struct link_map *self = NULL;
    if (dladdr1 == NULL || dlopen == NULL) return;
    if (dladdr1(&anchor, &info, (void **)&self, RTLD_DL_LINKMAP) == 0) return;
    if (self == NULL || self->l_name == NULL || self->l_name[0] == '\0') return;
    dlopen(self->l_name, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}
