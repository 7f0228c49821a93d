/* malloc, calloc, realloc and aligned_alloc around every power of two give a block that is usable
 * to its last byte, or NULL with ENOMEM. Up to 1 GiB they must succeed. */
#include "../pattern.h"
#include "../process.h"

enum { CALLS = 4 };

static void *by_call(unsigned call, size_t size) {
    switch (call) {
    case 0:
        return malloc(size);
    case 1:
        return calloc(1, size);
    case 2:
        return realloc(malloc(test_opaque(10)), size);
    default:
        return aligned_alloc(4096, size);
    }
}

static size_t succeeded, refused;

static void one(unsigned call, size_t size) {
    errno = 0;
    unsigned char *block = by_call(call, size);
    if (block == NULL) {
        CHECK(errno == ENOMEM, "call %u with %#zx bytes fails with errno %d", call, size, errno);
        CHECK(size > (size_t)1 << 30, "call %u with %#zx bytes fails", call, size);
        refused++;
        return;
    }
    CHECK((uintptr_t)block % 16 == 0, "call %u with %#zx bytes gives %p", call, size,
          (void *)block);
    size_t usable = malloc_usable_size(block);
    CHECK(usable >= size, "call %u with %#zx bytes gives %#zx", call, size, usable);
    if (call == 1 && size > 0)
        CHECK(block[0] == 0 && block[size / 2] == 0 && block[size - 1] == 0,
              "calloc of %#zx bytes is dirty", size);
    pattern_fill_ends(block, usable, size);
    CHECK(pattern_ends_match(block, usable, size), "block of %#zx bytes is damaged", size);
    free(block);
    succeeded++;
}

int main(void) {
    test_needs_hakmem();
    for (unsigned call = 0; call < CALLS; call++)
        for (unsigned power = 2; power < 64; power++)
            for (int offset = -2; offset <= 2; offset++)
                one(call, test_opaque(((size_t)1 << power) + (size_t)offset));
    CHECK(refused > 0 && succeeded > 0, "%zu succeed, %zu are refused", succeeded, refused);
    return test_ok("sizes up to 2^63 + 2 are met or refused");
}
