/* fork() where another library has registered its handlers before HAKMEM's, and they allocate.
 * They run between HAKMEM's own handlers, in the parent and in the child. HAKMEM holds no lock
 * there. */
#define TEST_LINKED
#include "../test.h"

#include <pthread.h>
#include <sys/wait.h>

static void allocate(void) {
    void *small = hak_malloc(100), *large = hak_malloc(1000000);
    CHECK(small != NULL && large != NULL, "a handler gets no memory");
    hak_free(small);
    hak_free(large);
}

/* Runs before HAKMEM's constructor, so these handlers are registered first. */
__attribute__((constructor(101))) static void register_first(void) {
    CHECK(pthread_atfork(allocate, allocate, allocate) == 0, "pthread_atfork");
}

int main(void) {
    alarm(600); /* a deadlock ends the test */
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        CHECK(child >= 0, "fork: %s", strerror(errno));
        if (child == 0) {
            allocate();
            _exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0, "child status %#x", status);
        allocate();
    }
    return test_ok("20 forks");
}
