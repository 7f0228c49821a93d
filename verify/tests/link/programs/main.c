/* Allocates in main, in a thread and in a child of fork. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *use(void *argument) {
    char *volatile block = malloc(1000);
    if (block == NULL) abort();
    memset(block, 1, 1000);
    free(block);
    return argument;
}

int main(void) {
    pthread_t thread;
    int status = 1;
    use(NULL);
    if (pthread_create(&thread, NULL, use, NULL) != 0 || pthread_join(thread, NULL) != 0) return 1;
    pid_t child = fork();
    if (child == 0) {
        use(NULL);
        _exit(0);
    }
    if (waitpid(child, &status, 0) != child || status != 0) return 1;
    puts("ran");
    return 0;
}
