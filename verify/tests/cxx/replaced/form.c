/* One operator, NAME, as a program replaces it. It is form NUMBER of each_form.cc, whose functions
 * give and take the blocks. */
#include <stddef.h>

#define MARK(number)  MARK_(number)
#define MARK_(number) replaced_##number

void *replaced_new(int number, size_t size);
void replaced_delete(int number, void *block);

const char MARK(NUMBER) = 1;

#if NUMBER < 8
void *NAME(size_t size) {
    return replaced_new(NUMBER, size);
}
#else
void NAME(void *block) {
    replaced_delete(NUMBER, block);
}
#endif
