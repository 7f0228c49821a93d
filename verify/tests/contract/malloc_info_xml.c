/* malloc_info writes to the given stream, here the file that the argument names. It refuses all
 * options but 0. */
#include "../test.h"

int main(int count, char **arguments) {
    test_needs_hakmem();
    CHECK(count == 2, "usage: malloc_info_xml FILE");
    static const size_t sizes[] = {20, 700, 3000, 20000, 300000};
    void *blocks[TEST_COUNT(sizes)];
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        blocks[i] = malloc(sizes[i]);
    FILE *stream = fopen(arguments[1], "w");
    CHECK(stream != NULL, "cannot open %s: errno %d", arguments[1], errno);
    CHECK(malloc_info(0, stream) == 0, "malloc_info(0) fails with errno %d", errno);
    CHECK(malloc_info((int)test_opaque(1), stream) != 0, "malloc_info(1) succeeds");
    CHECK(ferror(stream) == 0 && fclose(stream) == 0, "cannot write %s: errno %d", arguments[1],
          errno);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        free(blocks[i]);
    return test_ok("malloc_info");
}
