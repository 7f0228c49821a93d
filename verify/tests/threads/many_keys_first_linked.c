/* many_keys_first.c, linked with HAKMEM: the program's constructors may run before HAKMEM's. */
#define TEST_LINKED
#include "many_keys_first.c"
