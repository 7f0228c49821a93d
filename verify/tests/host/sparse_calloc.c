/* A long calloc of which the program touches little costs only the touched pages, each time. */
#include "../process.h"

enum { ROUNDS = 30 };

int main(void) {
    const size_t sizes[] = {40 * MIB, 100 * MIB, 64 * MIB + 12345};
    for (int round = 0; round < ROUNDS; round++) {
        const size_t size = sizes[(size_t)round % TEST_COUNT(sizes)],
                     before = process_minor_faults();
        char *zero = calloc(1, size);
        CHECK(zero != NULL, "no %zu bytes", size);
        for (size_t at = 0; at < size; at += MIB) {
            CHECK(zero[at] == 0, "byte %zu is %d", at, zero[at]);
            zero[at] = 1;
        }
        CHECK(zero[size - 1] == 0, "the last byte is %d", zero[size - 1]);
        size_t faults = process_minor_faults() - before;
        CHECK(faults <= 2 * size / MIB + 20, "round %d: %zu faults for %zu touched pages", round,
              faults, size / MIB);
        CHECK(process_resident() < 16 * MIB, "round %d: %zu KiB are resident", round,
              process_resident() >> 10);
        free(zero);
    }
    return test_ok("%d long blocks", ROUNDS);
}
