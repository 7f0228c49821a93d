/* Small blocks are freed while some of their bytes are locked. HAKMEM must not conclude that all
 * memory of the process is locked. */
#define TEST_LINKED
#include "verify/tests/test.h"

#include <sys/mman.h>

#include "core/os.h"

int main(void) {
    static void *blocks[3000];
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        blocks[i] = memset(hak_malloc(1000), 1, 1000);
    for (size_t i = 0; i < TEST_COUNT(blocks); i += 100)
        if (mlock(blocks[i], 32) != 0)
            return test_ok("nothing may be locked here: errno %d", errno);
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        hak_free(blocks[i]);
    hak_malloc_trim(0);
    CHECK(!hak_os_is_locked(), "all memory counts as locked");
    return test_ok("%zu blocks", TEST_COUNT(blocks));
}
