/* A library that a host opens. It allocates, resizes and frees for the host. Both have a definition
 * of one name; the library says whose definition it uses. */
#include <stdlib.h>
#include <string.h>

const char *definition(void);
const char *plugin_definition(void);
void *plugin_malloc(size_t size);
void *plugin_aligned(size_t size);
void *plugin_realloc(void *block, size_t size);
void plugin_free(void *block);
size_t plugin_copies(const char *text);

const char *definition(void) {
    return "the plugin's";
}

const char *plugin_definition(void) {
    return definition();
}

void *plugin_malloc(size_t size) {
    return malloc(size);
}

void *plugin_aligned(size_t size) {
    void *block = NULL;
    return posix_memalign(&block, 64, size) == 0 ? block : NULL;
}

void *plugin_realloc(void *block, size_t size) {
    return realloc(block, size);
}

void plugin_free(void *block) {
    free(block);
}

/* libc allocates the block. */
size_t plugin_copies(const char *text) {
    char *copy = strdup(text);
    size_t length = strlen(copy);
    free(copy);
    return length;
}
