/* Writes behind a block that realloc made smaller. */
#include "planted.h"

int main(int argc, char **argv) {
    volatile size_t last = planted(argc, argv) ? 60 : 49;
    char *block = hak_calloc(10, 10);
    block = hak_realloc(block, 50); /* allocated here */
    block[last] = 'x';              /* fault */
    hak_free_sized(block, 50);
    return 0;
}
