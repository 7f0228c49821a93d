/* Prints how many MiB malloc gives in blocks of one size, 8 GiB at most. One byte of each block is
 * written.
 *
 * usage: blocks_to_be_had BYTES */
#include "../process.h"

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: blocks_to_be_had BYTES");
    const size_t size = strtoul(argv[1], NULL, 10);
    size_t count = 0;
    for (char *block; count * size < 8192 * MIB && (block = malloc(size)) != NULL; count++)
        *block = 1;
    printf("%zu\n", count * size / MIB);
    return 0;
}
