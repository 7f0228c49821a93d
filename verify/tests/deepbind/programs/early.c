/* A preloaded library whose constructor opens a plugin. early_definition() says whose definition
 * the plugin used then. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

const char *early_definition(void);
static const char *seen = "nothing";

const char *early_definition(void) {
    return seen;
}

__attribute__((constructor)) static void begin(void) {
    const char *(*ask)(void);
    void *plugin = dlopen(getenv("EARLY_PLUGIN"), RTLD_NOW | RTLD_DEEPBIND);
    if (plugin == NULL) return;
    ask = (const char *(*)(void))(uintptr_t)dlsym(plugin, "plugin_definition");
    seen = ask();
}
