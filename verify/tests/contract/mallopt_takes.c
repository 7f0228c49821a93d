/* mallopt takes M_TRIM_THRESHOLD, and says 0 to what it does not have and to a value out of range; calling it often
 * costs no memory. */
#include "../process.h"

int main(void) {
    test_needs_hakmem();
    CHECK(mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1, "M_TRIM_THRESHOLD of 1 MiB is refused");
    CHECK(mallopt(M_TRIM_THRESHOLD, 0) == 1, "M_TRIM_THRESHOLD of 0 is refused");
    CHECK(mallopt(M_TRIM_THRESHOLD, -1) == 1, "M_TRIM_THRESHOLD of -1, without limit, is refused");
    CHECK(mallopt(M_TRIM_THRESHOLD, -2) == 0, "M_TRIM_THRESHOLD of -2 is taken");
    CHECK(mallopt(12345, 1) == 0, "parameter 12345 is taken");
    size_t before = process_resident();
    for (int i = 0; i < 100000; i++)
        CHECK(mallopt(M_TRIM_THRESHOLD, (i % 100) << 20) == 1, "M_TRIM_THRESHOLD of %d MiB is refused",
              i % 100);
    CHECK(process_resident() < before + 4 * MIB, "resident memory grows from %zu to %zu", before,
          process_resident());
    void *block = malloc(test_opaque(300000));
    CHECK(block != NULL, "no block after mallopt");
    free(block);
    return test_ok("mallopt");
}
