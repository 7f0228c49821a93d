/* The same names, defined by libhakmem.a in a -static program. */
#define TEST_LINKED
#include "every_name.c"
