/* mallopt may be the first call of a program, before any block. */
#include "../test.h"

#include <malloc.h>

int main(void) {
    CHECK(mallopt(M_MMAP_MAX, 0) == 1 && mallopt(M_TRIM_THRESHOLD, -1) == 1, "mallopt");
    return test_ok("mallopt is the first call");
}
