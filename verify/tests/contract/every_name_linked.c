/* The same names, defined by libhakmem.a in a program that shares libc. */
#define TEST_LINKED
#include "every_name.c"
