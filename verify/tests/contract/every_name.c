/* Every libc name that allocates, resizes, frees or reports is HAKMEM's: the prefixed functions
 * know the blocks of each function, and another function may free them. The test runs preloaded,
 * linked (every_name_linked) and in a -static program (every_name_static). */
#include "../process.h"

#ifdef TEST_LINKED
void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t alignment, size_t size);
#endif

static void *ours(const char *name, void *block, size_t size) {
    CHECK(block != NULL, "%s gives NULL, errno %d", name, errno);
    size_t usable = test_usable_size(block); /* aborts on another allocator's block */
    CHECK(usable >= size && malloc_usable_size(block) == usable, "%s: %zu bytes usable of %zu",
          name, usable, size);
    memset(block, 0x77, size);
    return block;
}

static void round_of_calls(size_t size) {
    void *block = NULL;
    free(ours("malloc", malloc(size), size));
    free(ours("calloc", calloc(2, size), 2 * size));
    block = ours("realloc of NULL", realloc(NULL, size), size);
    block = ours("realloc", realloc(block, 3 * size), 3 * size);
    free(ours("reallocarray", reallocarray(block, 4, size), 4 * size));
    CHECK(posix_memalign(&block, 128, size) == 0, "posix_memalign of %zu bytes", size);
    free(ours("posix_memalign", block, size));
    free(ours("memalign", memalign(1024, size), size));
    free(ours("valloc", valloc(size), size));
    free(ours("pvalloc", pvalloc(size), size));
    free_sized(ours("malloc", malloc(size), size), size);
    free_aligned_sized(ours("aligned_alloc", aligned_alloc(64, size), size), 64, size);
    free(ours("strdup", strdup("a libc function that allocates"), 31));
    char *text = NULL;
    CHECK(asprintf(&text, "%zu", size) > 0, "asprintf of %zu", size);
    free(ours("asprintf", text, 2));
}

static void reports(void) {
    void *block = ours("malloc", malloc(test_opaque(5000)), 5000);
    CHECK(mallinfo2().uordblks >= 5000, "mallinfo2 counts %zu bytes", mallinfo2().uordblks);
    CHECK(mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1, "mallopt refuses M_TRIM_THRESHOLD");
    char *xml = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&xml, &length);
    CHECK(stream != NULL && malloc_info(0, stream) == 0 && fclose(stream) == 0,
          "malloc_info: errno %d", errno);
    CHECK(strstr(xml, "<malloc") != NULL, "malloc_info writes %s", xml);
    free(xml);
    free(block);
    malloc_trim(0);
}

int main(void) {
    test_needs_hakmem();
    static const size_t sizes[] = {1, 64, 1000, 5000, 20000, 100000, 3000000};
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        round_of_calls(sizes[i]);
    reports();
    return test_ok("every name on %zu sizes", TEST_COUNT(sizes));
}
