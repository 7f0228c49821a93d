/* Writes one byte behind a block. */
#include "planted.h"

int main(int argc, char **argv) {
    size_t length = planted(argc, argv) ? 41 : 40;
    char *block = hak_malloc(40); /* allocated here */
    for (volatile size_t i = 0; i < length; i++)
        block[i] = 'x'; /* fault */
    hak_free(block);
    return 0;
}
