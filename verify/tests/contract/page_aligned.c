/* valloc and pvalloc give page-aligned blocks. Blocks of pvalloc hold whole pages. A size whose
 * rounding overflows fails. */
#include "api.h"
#include "../pattern.h"

int main(void) {
    test_needs_hakmem();
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < TEST_COUNT(tier_sizes); i++) {
        size_t size = tier_sizes[i], pages = (size + page - 1) / page * page;
        char *plain = API(valloc)(size), *whole = API(pvalloc)(size);
        CHECK(plain != NULL && (uintptr_t)plain % page == 0, "valloc(%zu) gives %p", size,
              (void *)plain);
        CHECK(whole != NULL && (uintptr_t)whole % page == 0, "pvalloc(%zu) gives %p", size,
              (void *)whole);
        size_t usable = API(malloc_usable_size)(whole);
        CHECK(usable >= pages, "pvalloc(%zu) holds %zu bytes, not %zu", size, usable, pages);
        pattern_fill(plain, size, i);
        pattern_fill(whole, pages, ~i);
        PATTERN_CHECK(plain, size, i);
        PATTERN_CHECK(whole, pages, ~i);
        API(free)(plain);
        API(free)(whole);
    }
    char *none = API(pvalloc)(test_opaque(0));
    CHECK(none != NULL && (uintptr_t)none % page == 0, "pvalloc(0) gives %p", (void *)none);
    API(free)(none);
    for (size_t less = 0; less < page; less++) {
        errno = 0;
        void *block = API(pvalloc)(test_opaque(SIZE_MAX - less));
        CHECK(block == NULL && errno == ENOMEM, "pvalloc(SIZE_MAX - %zu) gives %p, errno %d", less,
              block, errno);
    }
    return test_ok("%zu sizes in whole pages", TEST_COUNT(tier_sizes));
}
