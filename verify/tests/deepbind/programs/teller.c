/* A preloaded library that wraps dlopen and dlmopen. It writes to stderr which file is opened with
 * RTLD_DEEPBIND, and which without. It looks up the real function at the first call, as such
 * libraries do. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void tell(const char *function, const char *file, int mode) {
    const char *slash = file == NULL ? NULL : strrchr(file, '/');
    dprintf(STDERR_FILENO, "%s %s %s the flag\n", function,
            slash != NULL  ? slash + 1
            : file != NULL ? file
                           : "NULL",
            (mode & RTLD_DEEPBIND) != 0 ? "with" : "without");
}

/* With optimisation the last call is a jump, so the caller of dlopen stays the caller. */
void *dlopen(const char *file, int mode) {
    static void *(*real)(const char *, int);
    tell("dlopen", file, mode);
    if (real == NULL) real = (void *(*)(const char *, int))(uintptr_t)dlsym(RTLD_NEXT, "dlopen");
    return real(file, mode);
}

void *dlmopen(Lmid_t space, const char *file, int mode) {
    static void *(*real)(Lmid_t, const char *, int);
    tell("dlmopen", file, mode);
    if (real == NULL)
        real = (void *(*)(Lmid_t, const char *, int))(uintptr_t)dlsym(RTLD_NEXT, "dlmopen");
    return real(space, file, mode);
}
