/* Frees a block twice while its stderr takes seven bytes at a time, and is interrupted in between: write() is that of the
 * program. */
#include "../test.h"

#include <sys/syscall.h>

ssize_t write(int file, const void *bytes, size_t count) {
    static unsigned calls;
    if (++calls % 3 == 0) {
        errno = EINTR;
        return -1;
    }
    return syscall(SYS_write, file, bytes, count > 7 ? 7 : count);
}

int main(void) {
    test_needs_hakmem();
    char *block = test_opaque_pointer(malloc(40));
    free(block);
    free(test_opaque_pointer(block));
    return test_ok("not noticed");
}
