/* Frees a block twice. The argument is the size of the block, or "aligned". */
#include <stdlib.h>
#include <string.h>

static int aligned;

static void *take(size_t size) {
    return aligned ? aligned_alloc(256, 100) : malloc(size);
}

static void give(void *block) {
    free(block);
}

int main(int argc, char **argv) {
    aligned = strcmp(argv[argc - 1], "aligned") == 0;
    void *volatile block = take((size_t)atol(argv[1]));
    give(block);
    give(block);
    return 0;
}
