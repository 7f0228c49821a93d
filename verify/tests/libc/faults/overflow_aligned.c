/* Reads behind an aligned block. */
#include "planted.h"

int main(int argc, char **argv) {
    volatile size_t last = planted(argc, argv) ? 100 : 99;
    char *block = hak_aligned_alloc(64, 100); /* allocated here */
    memset(block, 1, 100);
    volatile char seen = block[last]; /* fault */
    (void)seen;
    hak_free_aligned_sized(block, 64, 100);
    return 0;
}
