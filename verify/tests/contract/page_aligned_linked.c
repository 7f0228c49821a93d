/* The same test under the prefixed names, linked with libhakmem.a. */
#define TEST_LINKED
#include "page_aligned.c"
