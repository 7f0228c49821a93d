/* Writes to a freed block, then allocates again, so that the audit sees the write. */
#include <stdlib.h>

static char *take(void) {
    return malloc(100);
}

static void give(char *block) {
    free(block);
}

int main(void) {
    char *volatile block = take();
    give(block);
    block[50] = 1;
    take();
    return 0;
}
