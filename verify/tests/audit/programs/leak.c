/* Leaks three blocks of 40 bytes, at one place, and a large block. The freed block is no leak. */
#include <stdlib.h>

static void *one(void) {
    return malloc(40);
}

int main(void) {
    for (int i = 0; i < 3; i++)
        one();
    void *volatile freed = malloc(100);
    free(freed);
    return malloc(200000) == NULL;
}
