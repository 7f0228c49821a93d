/* The memory for metadata doubles when it is used up. If the system refuses this step, only the
 * needed pages are committed, so that the request is still served. */
#define TEST_LINKED
#include "verify/tests/test.h"

#include "core/range.h"
#include "verify/os_faults.h"

int main(void) {
    size_t calls = 0;
    hak_free(hak_malloc(1));
    for (size_t bytes = 0; bytes <= 2 * HAK_GRANULE; bytes += 64) {
        /* The next system call fails: it is the doubling, if the memory is used up. */
        hak_os_faults_begin(0, false);
        void *got = hak_metadata_alloc(64);
        calls += hak_os_faults_end();
        CHECK(got != NULL, "refused after %zu bytes", bytes);
        memset(got, 1, 64);
    }
    CHECK(calls >= 2, "%zu calls: no step was refused", calls);
    return test_ok("metadata after %zu calls", calls);
}
