/* mallopt takes M_TRIM_THRESHOLD, and says 0 to what it does not have and to a value out of range. */
#include "../test.h"

int main(void) {
    test_needs_hakmem();
    CHECK(mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1, "M_TRIM_THRESHOLD of 1 MiB is refused");
    CHECK(mallopt(M_TRIM_THRESHOLD, 0) == 1, "M_TRIM_THRESHOLD of 0 is refused");
    CHECK(mallopt(M_TRIM_THRESHOLD, -1) == 0, "M_TRIM_THRESHOLD of -1 is taken");
    CHECK(mallopt(12345, 1) == 0, "parameter 12345 is taken");
    void *block = malloc(test_opaque(300000));
    CHECK(block != NULL, "no block after mallopt");
    free(block);
    return test_ok("mallopt");
}
