/* A constructor allocates blocks before main, which frees them. main allocates blocks that a
 * destructor frees after main; the destructor also allocates. */
#include "threads.h"

static struct letter *early[5], *late[5];
static const size_t sizes[] = {30, 1500, 6000, 30000, 100000};

__attribute__((constructor(101))) static void before_main(void) {
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        early[i] = letter_new(sizes[i], i);
}

__attribute__((destructor(101))) static void after_main(void) {
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        letter_free(late[i]);
        letter_free(letter_new(sizes[i], i));
    }
    test_ok("%zu blocks from before to after main", TEST_COUNT(sizes));
}

int main(void) {
    test_needs_hakmem();
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        late[i] = letter_new(sizes[i], ~i);
        letter_free(early[i]);
    }
    return 0;
}
