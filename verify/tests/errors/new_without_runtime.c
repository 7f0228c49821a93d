/* operator new finds no memory, in a program without a C++ runtime. Nobody can throw
 * std::bad_alloc, and there is nothing that new may return. */
#include "../test.h"

void *_Znwm(size_t size) __attribute__((weak)); /* operator new(std::size_t) */

int main(void) {
    test_needs_hakmem();
    CHECK(_Znwm != NULL, "there is no operator new");
    char *block = _Znwm(100);
    CHECK(block != NULL && malloc_usable_size(block) >= 100, "operator new gives no block");
    free(block);
    block = _Znwm(test_opaque((size_t)PTRDIFF_MAX));
    return test_ok("operator new returned %p", (void *)block);
}
