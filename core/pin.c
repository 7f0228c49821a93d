/* libhakmem.so cannot be unloaded: it is linked with -z nodelete, because threads end through
 * its code and its blocks live on. An archive cannot ask for that. So an object that the archive
 * was linked into, such as a plugin, asks for itself when it is loaded. */
#include <dlfcn.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>

/* Weak: before glibc 2.34 not every program had these functions. dlopen is looked up by name,
 * because the linker warns of it in each static program. */
__attribute__((weak)) int dladdr1(const void *address, Dl_info *info, void **extra, int flags);
__attribute__((weak)) void *dlsym(void *handle, const char *name);
typedef void *open_function(const char *file, int mode);

static const char anchor; /* an address in the object */

/* The loader finds the object in its list by the object's name, even if there is no such file
 * any more. The program has an empty name, and stays loaded anyway; a static program has no
 * loader. */
__attribute__((constructor)) static void pin(void) {
    Dl_info info;
    struct link_map *self = NULL;
    if (dladdr1 == NULL || dlsym == NULL) return;
    if (dladdr1(&anchor, &info, (void **)&self, RTLD_DL_LINKMAP) == 0) return;
    if (self == NULL || self->l_name == NULL || self->l_name[0] == '\0') return;
    open_function *open = (open_function *)(uintptr_t)dlsym(RTLD_DEFAULT, "dlopen");
    if (open != NULL) open(self->l_name, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}
