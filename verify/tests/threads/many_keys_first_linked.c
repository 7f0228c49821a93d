/* The same linked, where the program's constructors may run before the library's. */
#define TEST_LINKED
#include "many_keys_first.c"
