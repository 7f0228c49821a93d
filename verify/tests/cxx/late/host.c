/* A program in C that loads C++ plugins.
 *
 * usage: host local|global PLUGIN... */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTION(type, handle, name) ((type *)(uintptr_t)dlsym(handle, name))

typedef void *new_function(size_t size, const void *tag);
typedef int int_function(void);
typedef void void_function(void);

static void fail(const char *what, int number) {
    fprintf(stderr, "%s: %d\n", what, number);
    exit(1);
}

/* Calls nothrow new from the host, which has no C++ runtime and can neither throw nor catch. */
static void nothrow_is_null(new_function *nothrow_new) {
    volatile size_t huge = (size_t)1 << 46;
    if (nothrow_new(huge, NULL) != NULL) fail("nothrow new gives a block", 0);
    void *block = nothrow_new(100, NULL);
    if (block == NULL) fail("nothrow new gives no block", 0);
    free(block);
}

static void plugin_works(void *plugin, new_function *nothrow_new) {
    int failed = FUNCTION(int_function, plugin, "plugin")();
    if (failed != 0) fail("plugin", failed);
    nothrow_is_null(nothrow_new);
    FUNCTION(void_function, plugin, "plugin_sets_handler")();
}

int main(int argc, char **argv) {
    static const char *const names[] = {"_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t"};
    int visible = argc > 1 && strcmp(argv[1], "global") == 0 ? RTLD_GLOBAL : RTLD_LOCAL;
    void *plugins[8] = {NULL};
    new_function *nothrow_new[2];
    for (int i = 0; i < 2; i++) {
        nothrow_new[i] = FUNCTION(new_function, RTLD_DEFAULT, names[i]);
        if (nothrow_new[i] == NULL) fail("no operator new", i);
        nothrow_is_null(nothrow_new[i]);
    }
    for (int i = 2; i < argc && i < 10; i++) {
        plugins[i - 2] = dlopen(argv[i], RTLD_NOW | visible);
        if (plugins[i - 2] == NULL) fail(dlerror(), i);
    }
    for (int round = 0; round < 2; round++)
        for (int i = 0; plugins[i] != NULL; i++)
            plugin_works(plugins[i], nothrow_new[i % 2]);
    /* The caller has no C++ runtime, so the handler of the first loaded runtime is called. */
    for (int i = 0; plugins[i] != NULL; i++)
        FUNCTION(void_function, plugins[i], "plugin_sets_handler")();
    nothrow_is_null(nothrow_new[0]);
    if (FUNCTION(int_function, plugins[0], "plugin_handler_calls")() != 3)
        fail("the handler was not called", 0);
    printf("ok: %d plugins\n", argc - 2);
    return 0;
}
