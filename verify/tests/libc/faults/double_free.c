/* Frees a block twice. */
#include "planted.h"

int main(int argc, char **argv) {
    char *block = hak_malloc(40); /* allocated here */
    char *volatile copy = block;
    hak_free(block);                         /* freed here */
    if (planted(argc, argv)) hak_free(copy); /* fault */
    return 0;
}
