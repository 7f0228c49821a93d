/* A new handler that frees memory makes the failing new succeed. The test runs under an address
 * space limit. */
#include "../process.h"

#include <new>

namespace {

constexpr size_t part = 16 * MIB;
void *reserve[4096];
size_t reserved, calls;

void free_two() {
    calls++;
    if (reserved < 2) {
        std::set_new_handler(nullptr);
        return;
    }
    free(reserve[--reserved]);
    free(reserve[--reserved]);
}

} // namespace

int main() {
    test_needs_hakmem();
    while (reserved < TEST_COUNT(reserve) && (reserve[reserved] = malloc(part)) != nullptr)
        reserved++;
    CHECK(reserved >= 4 && reserved < TEST_COUNT(reserve), "%zu parts: the run needs a limit",
          reserved);
    std::set_new_handler(free_two);
    void *blocks[4];
    for (void *&block : blocks) {
        block = ::operator new(part);
        memset(block, 1, part);
    }
    CHECK(calls > 0, "the handler was not called");
    for (void *block : blocks)
        ::operator delete(block);
    while (reserved > 0)
        free(reserve[--reserved]);
    return test_ok("new succeeds after the handler freed memory");
}
