/* WHY
 *
 *   cc -pthread THIS.c && ./a.out                      on any allocator; also with LD_PRELOAD
 *   cc -pthread -DHAK -I. THIS.c out/asan/libhakmem.a -fsanitize=address
 *                                                      on HAKMEM's prefixed names
 *
 * Status 0: no error was found. The address, alignment and contents of each block are proved. */
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef HAK
#include "core/hakmem.h"
#define CALL(name) hak_##name
#else
#define CALL(name) name
#endif

enum what {
    MALLOC,
    CALLOC, /* `align` elements */
    REALLOC,
    FREE,
    ALIGNED_ALLOC,
    POSIX_MEMALIGN,
    MEMALIGN,
    USABLE_SIZE,
    TRIM,
    FREE_AGAIN, /* frees a block that is free already */
    THREAD_BEGIN,
    THREAD_EXIT
};

static const struct step {
    enum what what;
    unsigned thread, block;
    size_t size, align;
    int fails; /* the program got no block here */
} steps[] = {
    /* STEPS */
};

#define STEPS   (sizeof steps / sizeof steps[0])
#define WRITTEN ((size_t)512 << 10) /* bytes written at each end of a long block */

static struct block {
    unsigned char *start;
    size_t size;
    int live;
} blocks[STEPS];
static size_t now; /* the step that runs */

static void fail(const char *what) {
    fprintf(stderr, "step %zu of %zu: %s\n", now + 1, STEPS, what);
    _Exit(1);
}

static unsigned char content(size_t block, size_t at) {
    return (unsigned char)((block * 37 + at * 101 + at / 256) | 1);
}

/* Writes or proves the bytes below `limit`; of a long block only both ends. */
static void each_byte(size_t index, unsigned char *start, size_t limit, int write) {
    size_t size = blocks[index].size;
    for (size_t i = 0; i < limit; i++) {
        if (i == WRITTEN && size > 2 * WRITTEN) i = size - WRITTEN;
        if (i >= limit) return;
        if (write)
            start[i] = content(index, i);
        else if (start[i] != content(index, i))
            fail("the contents of a block changed");
    }
}

/* A block of 0 bytes still has an address of its own. */
static int is_below(const struct block *a, const struct block *b) {
    return a->start + (a->size > 0 ? a->size : 1) <= b->start;
}

static void begin(size_t index, void *start, size_t size, size_t align) {
    size_t promised = size < 16 ? 8 : 16;
    while (promised < align)
        promised *= 2;
    if (start == NULL) fail("no memory");
    if ((uintptr_t)start % promised != 0) fail("a block is not aligned");
    struct block *block = &blocks[index];
    *block = (struct block){.start = start, .size = size};
    for (size_t i = 0; i < STEPS; i++)
        if (blocks[i].live && !is_below(block, &blocks[i]) && !is_below(&blocks[i], block))
            fail("two live blocks overlap");
    block->live = 1;
    each_byte(index, start, size, 1);
}

static void end(size_t index) {
    each_byte(index, blocks[index].start, blocks[index].size, 0);
    blocks[index].live = 0;
}

static void prove_zero(const unsigned char *start, size_t size) {
    for (size_t i = 0; start != NULL && i < size && i < WRITTEN; i++)
        if (start[i] != 0 || start[size - 1 - i] != 0) fail("calloc's block is not zero");
}

static void *request(const struct step *step) {
    void *start = NULL;
    switch (step->what) {
    case CALLOC:
        return CALL(calloc)(step->align, step->size);
    case ALIGNED_ALLOC:
        return CALL(aligned_alloc)(step->align, step->size);
    case POSIX_MEMALIGN:
        return CALL(posix_memalign)(&start, step->align, step->size) == 0 ? start : NULL;
    case MEMALIGN:
        return CALL(memalign)(step->align, step->size);
    default:
        return CALL(malloc)(step->size);
    }
}

static void take(const struct step *step) {
    void *start = request(step);
    size_t count = step->what == CALLOC ? step->align : 1;
    if (step->fails) {
        CALL(free)(start);
        return;
    }
    if (step->what == CALLOC) prove_zero(start, step->size * count);
    begin(step->block, start, step->size * count, step->what == CALLOC ? 0 : step->align);
}

static void resize(const struct step *step) {
    struct block *block = &blocks[step->block];
    size_t old_size = block->size;
    end(step->block);
    unsigned char *start = CALL(realloc)(block->start, step->size);
    if (step->size == 0) {
        CALL(free)(start);
    } else if (start == NULL) {
        if (!step->fails) fail("no memory");
        block->live = 1;
    } else {
        each_byte(step->block, start, old_size < step->size ? old_size : step->size, 0);
        begin(step->block, start, step->size, 0);
    }
}

static void do_step(const struct step *step) {
    struct block *block = &blocks[step->block];
    switch (step->what) {
    case FREE:
        end(step->block);
        CALL(free)(block->start);
        break;
    case FREE_AGAIN:
        CALL(free)(block->start);
        break;
    case USABLE_SIZE:
        if (CALL(malloc_usable_size)(block->start) < block->size)
            fail("less is usable than was asked for");
        break;
    case TRIM:
        CALL(malloc_trim)(step->size);
        break;
    case THREAD_BEGIN:
    case THREAD_EXIT:
        break;
    case REALLOC:
        if (block->live)
            resize(step);
        else
            take(step);
        break;
    default:
        take(step);
    }
}

/* ---- threads that take turns ----------------------------------------------------------------- */

static struct thread {
    pthread_t thread;
    sem_t turn;
    int lives;
} threads[STEPS];
static sem_t done;

static void *run(void *thread) {
    for (;;) {
        sem_wait(&((struct thread *)thread)->turn);
        if (now == STEPS || steps[now].what == THREAD_EXIT) return NULL;
        do_step(&steps[now]);
        sem_post(&done);
    }
}

static void turn_of(struct thread *thread, int ends) {
    if (!thread->lives) {
        sem_init(&thread->turn, 0, 0);
        if (pthread_create(&thread->thread, NULL, run, thread) != 0) fail("no thread");
        thread->lives = 1;
    }
    sem_post(&thread->turn);
    if (ends) {
        pthread_join(thread->thread, NULL);
        thread->lives = 0;
    } else {
        sem_wait(&done);
    }
}

int main(void) {
    sem_init(&done, 0, 0);
    for (now = 0; now < STEPS; now++)
        turn_of(&threads[steps[now].thread], steps[now].what == THREAD_EXIT);
    for (size_t i = 0; i < STEPS; i++)
        if (threads[i].lives) turn_of(&threads[i], 1);
    for (size_t i = 0; i < STEPS; i++)
        if (blocks[i].live) end(i);
    return 0;
}
