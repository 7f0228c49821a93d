/* Two threads count in one block; without the fault they do so atomically. */
#include "planted.h"

#include <pthread.h>

static bool racing;

static void *count(void *block) {
    int *number = block;
    for (int i = 0; i < 1000; i++) {
        if (racing)
            ++*number; /* fault */
        else
            __atomic_fetch_add(number, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

int main(int argc, char **argv) {
    racing = planted(argc, argv);
    int *number = hak_calloc(1, sizeof *number); /* allocated here */
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, count, number) != 0) return 2;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    hak_free(number);
    return 0;
}
