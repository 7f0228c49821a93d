/* Pointers that are not the pointer of a live block: foreign, misaligned, interior, never
 * allocated. */
#include "faults.h"

#include <sys/mman.h>

static char *mapping(void) {
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void free_stack(void) {
    char bytes[64] __attribute__((aligned(64)));
    free(about(bytes + 16));
}

static void free_static(void) {
    static char bytes[64] __attribute__((aligned(64)));
    free(about(bytes + 16));
}

static void free_mapping(void) {
    free(about(mapping()));
}

static void free_low_address(void) {
    free(about((char *)test_opaque(16)));
}

static void realloc_mapping(void) {
    CHECK(realloc(about(mapping()), test_opaque(10)) == NULL, "a foreign pointer was resized");
}

static void usable_size_mapping(void) {
    CHECK(malloc_usable_size(about(mapping())) == 0, "a foreign pointer was measured");
}

static void misaligned_by_1(void) {
    free(about(take()) + 1);
}

static void misaligned_by_8(void) {
    free(about(take()) + 8);
}

static void usable_size_misaligned(void) {
    CHECK(malloc_usable_size(about(take()) + 8) == 0, "a misaligned pointer was measured");
}

static void interior_by_16(void) {
    free(about(take()) + 16);
}

static void interior_end(void) {
    free(about(take()) + (target->size - 1) / 16 * 16);
}

static void realloc_interior(void) {
    CHECK(realloc(about(take()) + 32, test_opaque(10)) == NULL, "an interior pointer was resized");
}

static void interior_of_freed(void) {
    free(about(freed()) + 16);
}

/* The cache has joined the three blocks. */
static void interior_of_joined(void) {
    char *blocks[] = {take(), take(), take()};
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        free(blocks[i]);
    free(about(test_opaque_pointer(blocks[1])) + target->size / 32 * 16);
}

/* The address is further on in the same slab, or far behind the large block. */
static void never_allocated(void) {
    char *block = about(take());
    size_t stride = malloc_usable_size(block) + 1;
    if (target->size >= 100000)
        free(block + ((size_t)384 << 20));
    else
        free(block + (target->size < 100 ? 600 : target->size < 1000 ? 60 : 10) * stride);
}

static const struct kind kinds[] = {
    KIND(free_stack),        KIND(free_static),        KIND(free_mapping),
    KIND(free_low_address),  KIND(realloc_mapping),    KIND(usable_size_mapping),
    KIND(misaligned_by_1),   KIND(misaligned_by_8),    KIND(usable_size_misaligned),
    KIND(interior_by_16),    KIND(interior_end),       KIND(realloc_interior),
    KIND(interior_of_freed), KIND(interior_of_joined), KIND(never_allocated),
};

int main(int count, char **arguments) {
    return commit(kinds, TEST_COUNT(kinds), count, arguments);
}
