/* Call number CALL to the operating system since the program's start fails; with `ever`, all later
 * calls fail, too. HAKMEM tries a range of half the size, and so on. If every size is refused,
 * every request fails with ENOMEM, and nothing crashes. After the failures requests succeed. */
#define TEST_LINKED
#include "verify/tests/test.h"

#include "core/range.h"
#include "verify/os_faults.h"

static bool failing;

/* Runs before the library's own constructor, and before any allocation. */
__attribute__((constructor(101))) static void fail_early(int argc, char **argv) {
    CHECK(argc == 3, "usage: no_range_internal CALL once|ever");
    hak_os_faults_begin((size_t)atol(argv[1]), strcmp(argv[2], "ever") == 0);
    failing = true;
}

int main(int argc, char **argv) {
    (void)argc;
    errno = 0;
    unsigned char *block = hak_malloc(100);
    void *large = hak_malloc(100000);
    if (block == NULL || large == NULL) CHECK(errno == ENOMEM, "errno %d", errno);
    if (block == NULL && strcmp(argv[2], "ever") == 0)
        CHECK(large == NULL, "large %p", (void *)large);
    hak_free(block);
    hak_free(large);
    CHECK(hak_malloc_usable_size(NULL) == 0 && hak_mallinfo2().uordblks < (size_t)1 << 20,
          "figures");
    bool refused = block == NULL;
    hak_os_faults_end();
    failing = false;
    /* Requests that failed succeed when they are tried again. */
    for (size_t size = 1; size < 5000000; size = size * 3 + 1) {
        block = hak_calloc(1, size);
        CHECK(block != NULL && block[size - 1] == 0, "%zu bytes refused after the failure was over",
              size);
        memset(block, 1, size);
        hak_free(block);
    }
    return test_ok("%s, range of %u granules", refused ? "refused at first" : "served at once",
                   hak_range.granules);
}
