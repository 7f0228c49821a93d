/* Alignments from 128 KiB to 1 GiB succeed. Larger alignments succeed, or fail with ENOMEM. They
 * cost address space, not memory. */
#include "../pattern.h"
#include "../process.h"

static void *aligned(size_t alignment, size_t size) {
    errno = 0;
    void *block = aligned_alloc(test_opaque(alignment), size);
    if (block == NULL) {
        CHECK(errno == ENOMEM, "aligned_alloc(%#zx, %zu) fails with errno %d", alignment, size,
              errno);
        CHECK(alignment > (size_t)1 << 30, "aligned_alloc(%#zx, %zu) fails", alignment, size);
        return NULL;
    }
    CHECK((uintptr_t)block % alignment == 0, "aligned_alloc(%#zx, %zu) gives %p", alignment, size,
          block);
    pattern_fill(block, size, alignment);
    return block;
}

int main(void) {
    test_needs_hakmem();
    static const size_t sizes[] = {0, 1, 5000, 100000, 3000000};
    size_t before = process_resident(), met = 0;
    for (unsigned power = 17; power < 64; power++)
        for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
            size_t alignment = (size_t)1 << power;
            void *first = aligned(alignment, sizes[i]), *second = aligned(alignment, sizes[i]);
            if (first != NULL) PATTERN_CHECK(first, sizes[i], alignment);
            if (second != NULL) PATTERN_CHECK(second, sizes[i], alignment);
            met += first != NULL && second != NULL;
            free(first);
            free(second);
        }
    CHECK(met >= 4 * 14, "%zu pairs are met", met);
    CHECK(process_resident() < before + 64 * MIB, "resident memory grows from %zu to %zu MiB",
          before / MIB, process_resident() / MIB);
    return test_ok("alignments up to 2^63 are met or refused");
}
