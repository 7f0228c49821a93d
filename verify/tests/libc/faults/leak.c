/* Forgets a block of 123 bytes. */
#include "planted.h"

static char *volatile kept;

int main(int argc, char **argv) {
    kept = hak_malloc(123); /* fault */
    kept[0] = 1;
    if (!planted(argc, argv)) hak_free(kept);
    kept = NULL;
    return 0;
}
