/* Reads a block that was freed. */
#include "planted.h"

int main(int argc, char **argv) {
    volatile int *block = hak_malloc(100 * sizeof *block); /* allocated here */
    block[7] = 1;
    if (planted(argc, argv)) {
        hak_free((void *)block); /* freed here */
        return block[7] == 2;    /* fault */
    }
    int seen = block[7];
    hak_free((void *)block);
    return seen == 2;
}
