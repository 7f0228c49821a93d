/* hak_span_alloc finds a free span that is long enough behind any number of spans in the same list
 * that are too short. Runs under `ulimit -v`, so that the whole range can be used up. */
#define TEST_LINKED
#include "verify/tests/test.h"

#include "core/spans.h"

#define RUNS 100

int main(void) {
    static uint32_t shorter[RUNS], between[RUNS];
    hak_free(hak_malloc(1)); /* there is a range from here on */
    uint32_t longer = hak_span_alloc(72, 1);
    CHECK(longer != 0, "no run of 72 granules");
    for (size_t i = 0; i < RUNS; i++) {
        shorter[i] = hak_span_alloc(64, 1);
        between[i] = hak_span_alloc(1, 1);
        CHECK(shorter[i] != 0 && between[i] != 0, "the range is too small for the test");
    }
    for (uint32_t count = hak_range.granules / 2; count > 0; count /= 2) /* use up the rest */
        while (hak_span_alloc(count, 1) != 0) {
        }
    hak_span_free(longer, 72, false);
    for (size_t i = 0; i < RUNS; i++)
        hak_span_free(shorter[i], 64, false);
    uint32_t found = hak_span_alloc(72, 1);
    CHECK(found == longer, "run %u of 72 granules is free, got %u", longer, found);
    return test_ok("a run of 72 granules behind %d of 64", RUNS);
}
