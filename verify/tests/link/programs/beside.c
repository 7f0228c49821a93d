/* A program that uses HAKMEM's blocks beside those of its own malloc. Without an argument the
 * program has no fault, and no sanitizer may report anything. Each argument names a fault that a
 * sanitizer must report. */
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/hakmem.h"

#define BLOCKS 200

#define CHECK(cond)                                                                                \
    ((cond) ? (void)0 : (void)(printf("line %d: %s fails\n", __LINE__, #cond), exit(1)))

/* A block of HAKMEM, with the only pointers to some blocks of malloc. */
static void **holder;
static int *shared;
static _Atomic int turn; /* accesses are relaxed: they order nothing */
static char **given;
static char *kept[20 * BLOCKS];
static sem_t ready;

static void each_function(void) {
    void *aligned;
    char *block = hak_malloc(100);
    CHECK(block != NULL && hak_malloc_usable_size(block) >= 100);
    memset(block, 7, 100);
    block = hak_realloc(block, 200000);
    CHECK(block[99] == 7);
    block[199999] = 8;
    block = hak_reallocarray(block, 1000, 3000);
    CHECK(block[99] == 7 && block[199999] == 8);
    hak_free_sized(block, 3000000);
    CHECK(hak_posix_memalign(&aligned, 4096, 100) == 0 && (uintptr_t)aligned % 4096 == 0);
    hak_free(aligned);
    aligned = hak_aligned_alloc(256, 300);
    CHECK((uintptr_t)aligned % 256 == 0);
    hak_free_aligned_sized(aligned, 256, 300);
    hak_free(hak_memalign(64, 10));
    hak_free(hak_valloc(10));
    hak_free(hak_pvalloc(10));
    struct mallinfo2 wide = hak_mallinfo2();
    struct mallinfo narrow = hak_mallinfo();
    CHECK(wide.arena > 0 && narrow.arena > 0 &&
          (wide.uordblks | wide.keepcost | wide.hblks) != SIZE_MAX);
    FILE *nowhere = fopen("/dev/null", "w");
    CHECK(nowhere != NULL && hak_malloc_info(0, nowhere) == 0 && fclose(nowhere) == 0);
    hak_malloc_trim(0);
}

/* A block of calloc is zero, and counts as initialised, whatever was in its memory before. */
static void zeroed(size_t size) {
    volatile char unset[64];
    void *blocks[BLOCKS];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            char *block = blocks[i] = round == 1 ? hak_calloc(1, size) : hak_malloc(size);
            CHECK(block != NULL);
            if (round == 1)
                for (size_t k = 0; k < size; k += 50)
                    CHECK(block[k] == 0);
            memcpy(block, (const void *)&unset, sizeof unset);
            memcpy(block + size - sizeof unset, (const void *)&unset, sizeof unset);
        }
        for (int i = 0; i < BLOCKS; i++)
            hak_free(blocks[i]);
        if (round == 0) hak_malloc_trim(0);
    }
}

/* Blocks keep their contents when realloc moves them. */
static void moved(void) {
    const size_t small = 600000, large = 4000000;
    char *blocks[8];
    hak_free(hak_malloc(16 * large));
    hak_malloc_trim(0);
    for (int i = 0; i < 8; i++)
        memset(blocks[i] = hak_malloc(small), i, small);
    for (int i = 0; i < 8; i++)
        blocks[i] = hak_realloc(blocks[i], large);
    for (int i = 0; i < 8; i++) {
        for (size_t k = 0; k < small; k += 100)
            CHECK(blocks[i][k] == i);
        hak_free(blocks[i]);
    }
}

/* Two mutexes that lie at one address, one after the other, must not be taken for one mutex that is
 * locked in two orders. */
static void mutexes(void) {
    static pthread_mutex_t other = PTHREAD_MUTEX_INITIALIZER;
    for (int round = 0; round < 2; round++) {
        pthread_mutex_t *mutex = hak_malloc(sizeof *mutex);
        *mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
        pthread_mutex_lock(round == 0 ? mutex : &other);
        pthread_mutex_lock(round == 0 ? &other : mutex);
        pthread_mutex_unlock(mutex);
        pthread_mutex_unlock(&other);
        hak_free(mutex);
    }
}

/* The second thread uses and frees the first thread's blocks, and the first thread gets them again.
 * Only the allocator orders this return of the blocks: `turn` does not. */
static void *gives(void *argument) {
    static char *blocks[20 * BLOCKS];
    for (size_t i = 0; i < 20 * BLOCKS; i++) {
        blocks[i] = hak_malloc(100);
        memset(blocks[i], 1, 100);
    }
    given = blocks;
    CHECK(sem_post(&ready) == 0);
    while (atomic_load_explicit(&turn, memory_order_relaxed) == 0)
        usleep(100);
    for (size_t i = 0; i < 20 * BLOCKS; i++) {
        char *block = i % 2 == 0 ? hak_malloc(100) : hak_calloc(1, 100);
        memset(block, 3, 100);
        if (i % 7 == 0) block = hak_realloc(block, 5000);
        CHECK(block[99] == 3);
        kept[i] = block;
    }
    return argument;
}

static void *takes(void *argument) {
    CHECK(sem_wait(&ready) == 0);
    for (size_t i = 0; i < 20 * BLOCKS; i++) {
        memset(given[i], 2, 100);
        hak_free(given[i]);
    }
    atomic_store_explicit(&turn, 1, memory_order_relaxed);
    return argument;
}

static void *in_turn(void *argument) {
    return argument == NULL ? gives(argument) : takes(argument);
}

static void *write_shared(void *argument) {
    for (int i = 0; i < 1000; i++)
        (*shared)++;
    return argument;
}

static void two_threads(void *(*start)(void *)) {
    pthread_t thread[2];
    for (intptr_t i = 0; i < 2; i++)
        CHECK(pthread_create(&thread[i], NULL, start, (void *)i) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
}

static void child(void) {
    int status = 1;
    pid_t pid = fork();
    if (pid == 0) {
        hak_free(hak_malloc(50));
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void keep_in_a_block(void) {
    holder = hak_malloc(BLOCKS * sizeof *holder);
    for (int i = 0; i < BLOCKS; i++)
        holder[i] = malloc(12345);
}

/* Forgets the pointers. A few of them may still be on the stack. */
static void lose(void) {
    memset(holder, 0, BLOCKS * sizeof *holder);
}

static int fault(const char *name) {
    if (strcmp(name, "own-overflow") == 0) {
        volatile char *volatile block = malloc(10);
        block[10] = 1;
    } else if (strcmp(name, "leak") == 0) {
        keep_in_a_block();
        lose();
    } else if (strcmp(name, "race") == 0) {
        shared = hak_calloc(1, sizeof *shared);
        two_threads(write_shared);
    } else if (strcmp(name, "unset") == 0) {
        char *volatile block = hak_malloc(100);
        if (block[50] == 1) puts("one");
    } else if (strcmp(name, "unset-again") == 0) {
        char *volatile block = hak_malloc(100);
        memset(block, 1, 100);
        hak_free(block);
        block = hak_malloc(100);
        if (block[50] == 1) puts("one");
    }
    return 0;
}

int main(int count, char **arguments) {
    if (count == 2) return fault(arguments[1]);
    keep_in_a_block();
    each_function();
    zeroed(100);
    zeroed(100000);
    moved();
    mutexes();
    CHECK(sem_init(&ready, 0, 0) == 0);
    two_threads(in_turn);
    child();
    /* The block is the system malloc's: HAKMEM's malloc_usable_size would abort. */
    CHECK(malloc_usable_size(*holder) >= 12345);
    puts("ran");
    return 0;
}
