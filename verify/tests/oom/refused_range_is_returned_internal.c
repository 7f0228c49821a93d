/* The addresses for the range are free, but no memory of the range can be committed. Each attempt
 * gives the addresses back. Once there is memory, requests succeed. */
#define TEST_LINKED
#include "verify/tests/process.h"

static struct rlimit limit;

/* Runs before the library's own constructor. From here on no further writable memory is allowed.
 * (The kernel does not keep a limit of 0.) */
__attribute__((constructor(101))) static void refuse_memory(void) {
    CHECK(getrlimit(RLIMIT_DATA, &limit) == 0, "getrlimit: errno %d", errno);
    struct rlimit none = {.rlim_cur = 4096, .rlim_max = limit.rlim_max};
    CHECK(setrlimit(RLIMIT_DATA, &none) == 0, "setrlimit: errno %d", errno);
}

int main(void) {
    size_t before = process_address_space();
    for (int i = 0; i < 20; i++)
        CHECK(hak_malloc(test_opaque(100)) == NULL && errno == ENOMEM, "try %d is served", i);
    size_t after = process_address_space();
    CHECK(after == before, "address space of %zu bytes, then %zu", before, after);
    CHECK(setrlimit(RLIMIT_DATA, &limit) == 0, "setrlimit: errno %d", errno);
    void *block = hak_malloc(test_opaque(100));
    CHECK(block != NULL, "refused when there is memory again");
    hak_free(block);
    return test_ok("20 tries left nothing behind");
}
