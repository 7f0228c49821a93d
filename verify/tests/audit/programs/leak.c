/* Three leaked blocks of 40 bytes, by one place, and a large one; what is freed is no leak. */
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
