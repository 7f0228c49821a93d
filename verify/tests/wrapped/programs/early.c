/* A preloaded library whose constructor runs before HAKMEM's, and allocates blocks of all tiers,
 * also in a thread that ends and in a child. The blocks live until the program ends. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZES = 6 };
static const size_t sizes[SIZES] = {10, 500, 3000, 20480, 100000, 4 << 20};
static unsigned char *mine[SIZES], *of_thread[SIZES];

static void bad(const char *what) {
    dprintf(STDERR_FILENO, "early: %s\n", what);
    _exit(99);
}

static void *take(void *to) {
    unsigned char **blocks = to;
    for (int i = 0; i < SIZES; i++) {
        free(malloc(sizes[i] / 2));
        blocks[i] = calloc(1, sizes[i] / 2);
        if (blocks[i] == NULL || blocks[i][sizes[i] / 2 - 1] != 0) bad("no zeroes");
        blocks[i] = realloc(blocks[i], sizes[i]);
        if (blocks[i] == NULL) bad("no memory");
        memset(blocks[i], i + 1, sizes[i]);
    }
    return NULL;
}

static void give(unsigned char **blocks) {
    for (int i = 0; i < SIZES; i++) {
        for (size_t k = 0; k < sizes[i]; k++)
            if (blocks[i][k] != i + 1) bad("a block has changed");
        free(blocks[i]);
    }
}

__attribute__((constructor)) static void begin(void) {
    pthread_t thread;
    take(mine);
    if (pthread_create(&thread, NULL, take, of_thread) != 0) bad("no thread");
    pthread_join(thread, NULL);
    pid_t child = fork();
    if (child == 0) {
        unsigned char *blocks[SIZES];
        take(blocks);
        give(blocks);
        give(of_thread);
        _exit(0);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) bad("the child");
}

__attribute__((destructor)) static void end(void) {
    give(of_thread);
    give(mine);
}
