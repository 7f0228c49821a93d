/* The program of programs/uses_locked.c with its library and HAKMEM in one, without a loader;
 * LOCKED_LATER decides whether the library's handlers are registered before ours, or after. */
#define TEST_LINKED
#include "forks/programs/locked.c"
#include "forks/programs/uses_locked.c"
