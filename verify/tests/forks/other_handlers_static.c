/* programs/uses_locked.c, its library and HAKMEM in one program, without a loader. LOCKED_LATER
 * decides whether the library's handlers are registered before HAKMEM's or after. */
#define TEST_LINKED
#include "forks/programs/locked.c"
#include "forks/programs/uses_locked.c"
