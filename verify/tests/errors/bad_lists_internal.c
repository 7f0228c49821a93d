/* A flush reports a thread's free list that a wild write has damaged. A message about a pointer
 * needs nothing but the pointer.
 *
 * usage: bad_lists_internal circle|interior|range_end|outside */
#define TEST_LINKED
#include "../test.h"

#include "core/range.h"

static void circle(void) {
    struct hak_block *last = hak_malloc(40);
    hak_free(last);
    last->next = last;
    hak_malloc_trim(0);
}

/* Forges a header byte before an address inside of a live block, and frees this address. */
static void interior(void) {
    char *block = hak_malloc(1000);
    block[495] = (char)hak_header_of(block);
    hak_free(block + 496);
    hak_malloc_trim(0);
}

static void range_end(void) {
    hak_free(hak_malloc(test_opaque(1)));
    uint64_t limit = atomic_load(&hak_range.end);
    hak_free((char *)hak_range.base + (limit << 4) - 16);
}

/* Prints the range. The message must have the same range. */
static void outside(void) {
    hak_free(hak_malloc(100000));
    setvbuf(stdout, NULL, _IONBF, 0); /* a buffer would make the range longer */
    uintptr_t base = atomic_load(&hak_range.base);
    printf("%#zx-%#zx\n", (size_t)base, (size_t)(base + (atomic_load(&hak_range.end) << 4)));
    hak_free((void *)(uintptr_t)16);
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: bad_lists_internal KIND");
    if (strcmp(argv[1], "circle") == 0) circle();
    if (strcmp(argv[1], "interior") == 0) interior();
    if (strcmp(argv[1], "range_end") == 0) range_end();
    if (strcmp(argv[1], "outside") == 0) outside();
    return test_ok("nothing was reported");
}
