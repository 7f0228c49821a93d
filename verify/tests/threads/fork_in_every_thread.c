/* Several threads fork at once, and their children fork again: no lock stays held, and each
 * process allocates. */
#include "threads.h"

#include <sys/wait.h>

enum { THREADS = 4, CHILD_SECONDS = 600 };

static size_t forks;

static void churn(uint64_t seed) {
    for (size_t i = 0; i < 100; i++)
        letter_free(letter_new(letter_size(&seed), i));
}

static void wait_for(pid_t process, const char *whose) {
    int status = 0;
    CHECK(process > 0 && waitpid(process, &status, 0) == process && status == 0,
          "%s child ends with status %#x", whose, (unsigned)status);
}

static void *fork_often(void *argument) {
    for (size_t i = 0; i < forks; i++) {
        struct letter *before = letter_new(3000, i);
        pid_t process = fork();
        if (process == 0) {
            alarm(CHILD_SECONDS);
            churn(i);
            pid_t grandchild = fork();
            if (grandchild == 0) {
                alarm(CHILD_SECONDS);
                churn(i + 1);
                letter_free(before);
                _exit(0);
            }
            wait_for(grandchild, "a child's");
            letter_free(before);
            _exit(0);
        }
        churn(i + 2);
        wait_for(process, "a thread's");
        letter_free(before);
    }
    return argument;
}

int main(void) {
    test_needs_hakmem();
    forks = test_quick() ? 15 : 100;
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        threads[i] = thread_start(fork_often, NULL);
    for (size_t i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    return test_ok("%zu forks", 2 * THREADS * forks);
}
