/* The same test in a -static C++ program. */
#define TEST_LINKED
#include "new_fails.cc"
