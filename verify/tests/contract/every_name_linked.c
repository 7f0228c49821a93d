/* The same names, defined by libhakmem.a in a program with a shared libc. */
#define TEST_LINKED
#include "every_name.c"
