/* Decides by a byte that was never written. */
#include "planted.h"

int main(int argc, char **argv) {
    volatile size_t which = planted(argc, argv) ? 8 : 7;
    char *block = hak_malloc(40); /* allocated here */
    memset(block, 1, 8);
    if (block[which] == 2) puts("two"); /* fault */
    hak_free(block);
    return 0;
}
