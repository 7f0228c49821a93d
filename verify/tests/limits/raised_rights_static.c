/* Allocates, and prints whether the kernel started the program with raised rights (AT_SECURE). */
#define TEST_LINKED
#include "../test.h"

#include <sys/auxv.h>

int main(void) {
    test_needs_hakmem();
    void *block = malloc(test_opaque(100000));
    CHECK(block != NULL, "no block");
    free(block);
    return test_ok("AT_SECURE %lu", getauxval(AT_SECURE));
}
