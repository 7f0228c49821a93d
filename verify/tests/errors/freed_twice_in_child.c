/* The child of a fork frees a block twice. The message names the child's thread, which has another
 * number than the parent's. */
#include "../test.h"

#include <signal.h>
#include <sys/wait.h>

int main(void) {
    test_needs_hakmem();
    free(test_opaque_pointer(malloc(40)));
    int status;
    pid_t child = fork();
    if (child == 0) {
        char *block = test_opaque_pointer(malloc(40));
        free(block);
        free(test_opaque_pointer(block));
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child, "no child");
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "the child ends with %#x",
          (unsigned)status);
    return test_ok("child %d", (int)child);
}
