/* Ends in the way that its argument names, after another thread has allocated and ended. A block is
 * live at the end, except after a double free. */
#include <signal.h>

#include "../threads/threads.h"

static void *allocate(void *argument) {
    for (size_t i = 1; i < 2000; i++)
        free(test_opaque_pointer(malloc(i)));
    return argument;
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "%d arguments", argc);
    thread_join(thread_start(allocate, NULL));
    char *kept = test_opaque_pointer(malloc(100));
    if (strcmp(argv[1], "kill") == 0) raise(SIGKILL);
    if (strcmp(argv[1], "abort") == 0) abort();
    if (strcmp(argv[1], "_exit") == 0) _exit(0);
    free(kept);
    free(test_opaque_pointer(kept)); /* "double_free" */
    return 0;
}
