/* A plugin that has the allocator linked in. */
#include <string.h>

#include "core/hakmem.h"

int plugin_work(void);
int plugin_work(void) {
    void *blocks[100];
    for (size_t i = 0; i < 100; i++) {
        blocks[i] = hak_malloc(10 + i * 50);
        if (blocks[i] == NULL) return 1;
        memset(blocks[i], 1, 10 + i * 50);
    }
    for (size_t i = 0; i < 100; i++)
        hak_free(blocks[i]);
    return 0;
}
