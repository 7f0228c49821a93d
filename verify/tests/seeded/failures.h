/* Phases of the seeded driver: no memory, pages that cannot be moved, errors of the program,
 * fork. */
#ifndef HAK_VERIFY_SEEDED_FAILURES_H
#define HAK_VERIFY_SEEDED_FAILURES_H

#include "several_threads.h"

#include "../process.h"

static size_t more_than_there_is(void) {
    return (size_t)(atomic_load(&hak_range.end) << 4) + ((size_t)64 << 20);
}

static void out_of_memory(size_t first, bool for_ever) {
    struct slot kept[12] = {{0}}, grown[12] = {{0}};
    struct slot small;
    void *huge = NULL;
    for (size_t i = 0; i < TEST_COUNT(kept); i++)
        slot_take(&kept[i], 100 + 18000 * i);
    slot_take(&small, 40);
    hak_os_faults_begin(first, for_ever);
    for (size_t i = 0; i < TEST_COUNT(kept); i++) {
        count_operation();
        size_t size = (size_t)1 << (18 + i % 5);
        slot_verify_bytes(&kept[i], kept[i].room);
        errno = 0;
        struct slot moved = kept[i];
        moved.block = hak_realloc(kept[i].block, size);
        if (moved.block == NULL) {
            EXPECT(errno == ENOMEM, "errno %d", errno);
            slot_verify_bytes(&kept[i], kept[i].room); /* the block is unchanged */
        } else {
            slot_verify_bytes(&moved, kept[i].size);
            slot_own(&kept[i], moved.block, size, 16);
        }
        errno = 0;
        void *block = hak_malloc(size);
        if (block == NULL)
            EXPECT(errno == ENOMEM, "errno %d", errno);
        else
            slot_own(&grown[i], block, size, 16);
    }
    /* Small blocks too, until a SuperSlab is refused. */
    for (size_t i = 0; i < 6000 && for_ever; i++) {
        batch[i].block = NULL;
        void *block = hak_malloc(3000);
        if (block != NULL) slot_own(&batch[i], block, 3000, 16);
    }
    if (for_ever) huge = hak_malloc(more_than_there_is());
    if (for_ever && huge == NULL) {
        void *moved = hak_realloc(small.block, more_than_there_is());
        if (moved == NULL)
            slot_verify_bytes(&small, small.room);
        else
            small = (struct slot){
                .block = moved, .size = small.size, .room = small.size, .fill = small.fill};
    }
    hak_os_faults_end();
    prove_running();
    hak_free(huge);
    slot_give(&small);
    for (size_t i = 0; i < 6000 && for_ever; i++)
        slot_give(&batch[i]);
    for (size_t i = 0; i < TEST_COUNT(kept); i++) {
        slot_give(&kept[i]);
        slot_give(&grown[i]);
    }
    prove_running();
}

static void phase_no_memory(void) {
    for (size_t first = 0; first < 8; first++)
        for (int for_ever = 0; for_ever < 2; for_ever++) {
            out_of_memory(first, for_ever);
            hak_malloc_trim(0);
        }
}

static const struct hak_os_table *moves;

/* In place of the system's move. Every second call fails, as if the kernel had unmapped the
 * destination and then refused: the destination holds fresh pages. */
static enum hak_moved move_not(void *from, size_t shorter, void *to, size_t bytes) {
    static unsigned turn;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    if (turn++ % 2 != 0) return moves->move(from, shorter, to, bytes);
    EXPECT(mmap(to, bytes, PROT_READ | PROT_WRITE, flags, -1, 0) == to, "mmap");
    count_operation();
    return HAK_NOT_MOVED;
}

/* Blocks that cannot be moved are copied. Afterwards the range has no more kernel mappings than
 * before, because all of it has the same advice. */
static void phase_not_moved(void) {
    const struct hak_os_table original = hak_os;
    struct hak_os_table table = hak_os;
    struct slot kept[8] = {{0}}, last = {0};
    if (sanitized) return; /* the sanitizer maps memory of its own */
    hak_malloc_trim(0);
    const size_t before = process_mappings();
    moves = &original;
    table.move = move_not;
    hak_os_table_write(&table);
    for (size_t i = 0; i < TEST_COUNT(kept); i++)
        slot_take(&kept[i], MIB);
    for (size_t i = 0; i < TEST_COUNT(kept); i++) {
        slot_verify_bytes(&kept[i], kept[i].room);
        struct slot moved = kept[i];
        moved.block = hak_realloc(kept[i].block, 4 * MIB);
        EXPECT(moved.block != NULL, "realloc");
        slot_verify_bytes(&moved, kept[i].size);
        slot_own(&kept[i], moved.block, 4 * MIB, 16);
    }
    hak_os_table_write(&original);
    slot_take(&last, 12 * MIB); /* a block behind all others: their granules stay mapped */
    for (size_t i = 0; i < TEST_COUNT(kept); i++)
        slot_give(&kept[i]);
    hak_malloc_trim(0);
    const size_t after = process_mappings();
    slot_give(&last);
    /* Two of the range's tables may have grown. */
    EXPECT(after <= before + 2, "%zu mappings, then %zu", before, after);
}

static void at_child_alarm(int number) {
    if (!goes_on()) {
        signal(number, SIG_DFL);
        raise(number);
    }
    alarm(CHILD_SECONDS);
}

/* Runs `body` in a child; returns the status with which the child ends. */
static int child_status(void (*body)(void)) {
    pid_t child = fork();
    EXPECT(child >= 0, "fork");
    if (child == 0) {
        signal(SIGALRM, at_child_alarm);
        alarm(CHILD_SECONDS);
        body();
        _exit(0);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child, "waitpid");
    return status;
}

static void quietly(void) {
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS};
    for (size_t i = 0; i < TEST_COUNT(numbers); i++)
        signal(numbers[i], SIG_DFL);
    if (freopen("/dev/null", "w", stderr) == NULL) _exit(3);
}

static void free_unmapped(void) {
    quietly();
    char *pages = mmap(NULL, 3 << 16, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    hak_free(test_opaque_pointer(pages + (1 << 16)));
}

static void free_static(void) {
    static _Alignas(64) unsigned char bytes[256];
    quietly();
    bytes[63] = HAK_CLASS_HEADER(3);
    hak_free(test_opaque_pointer(bytes + 64));
}

static void free_twice(void) {
    quietly();
    void *block = hak_malloc(50);
    hak_free(block);
    hak_free(test_opaque_pointer(block));
}

static void free_large_twice(void) {
    quietly();
    void *block = hak_malloc(500000);
    hak_free(block);
    hak_free(test_opaque_pointer(block));
}

static void free_uncommitted(void) {
    quietly();
    uint64_t limit = atomic_load(&hak_range.end);
    hak_os_faults_begin(0, true);
    hak_free(hak_malloc((limit << 4) + ((size_t)1 << 31)));
    hak_os_faults_end();
    hak_free(test_opaque_pointer((char *)hak_range.base + (limit << 4) + ((size_t)1 << 30)));
}

/* Each error of the program ends the process by SIGABRT. */
static void phase_errors(void) {
    static void (*const bodies[])(void) = {free_unmapped, free_static, free_twice, free_large_twice,
                                           free_uncommitted};
    if (sanitized) return;
    for (size_t i = 0; i < TEST_COUNT(bodies); i++) {
        count_operation();
        int status = child_status(bodies[i]);
        EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "error %zu ends with status %#x",
               i, status);
    }
}

static _Atomic bool forking;

static void *busy_body(void *number) {
    uint64_t random = seed + 50 + (uintptr_t)number;
    while (atomic_load(&forking)) {
        struct slot slot;
        slot_take(&slot, any_size(&random, SIZE_MAX));
        slot_give(&slot);
    }
    return NULL;
}

static void child_goes_on(void) {
    phase_name = "child";
    uint64_t random = seed;
    for (size_t i = 0; i < 300; i++)
        slot_give(&batch[i]);
    for (size_t i = 0; i < 2000; i++)
        slot_take(&batch[i], any_size(&random, SIZE_MAX));
    for (size_t i = 0; i < 2000; i++)
        slot_give(&batch[i]);
    hak_malloc_trim(0);
}

static sem_t lock_held, fork_over;

static void *holds_lock(void *lock) {
    hak_lock_take(lock);
    sem_post(&lock_held);
    sem_wait(&fork_over);
    hak_lock_drop(lock);
    return NULL;
}

/* Forks while another thread certainly holds the lock. */
static void fork_under(struct hak_lock *lock) {
    pthread_t holder;
    sem_init(&lock_held, 0, 0);
    sem_init(&fork_over, 0, 0);
    EXPECT(pthread_create(&holder, NULL, holds_lock, lock) == 0, "pthread_create");
    sem_wait(&lock_held);
    int status = child_status(child_goes_on);
    sem_post(&fork_over);
    pthread_join(holder, NULL);
    EXPECT(!(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM), "the child hangs: lock %d",
           lock->rank);
    EXPECT(status == 0, "the child ends with status %#x: lock %d", status, lock->rank);
}

static void phase_fork(void) {
    pthread_t busy[2];
    if (sanitized) return;
    for (size_t i = 0; i < 300; i++)
        slot_take(&batch[i], 1 + i * 300);
    for (unsigned rank = HAK_RANK_COUNT; rank-- > HAK_RANK_HEAPS;)
        fork_under(&hak_locks[rank]);
    atomic_store(&forking, true);
    for (uintptr_t i = 0; i < 2; i++)
        EXPECT(pthread_create(&busy[i], NULL, busy_body, (void *)i) == 0, "pthread_create");
    for (int round = 0; round < 6; round++) {
        int status = child_status(child_goes_on);
        EXPECT(!(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM), "child %d hangs", round);
        EXPECT(status == 0, "child %d ends with status %#x", round, status);
    }
    atomic_store(&forking, false);
    for (size_t i = 0; i < 2; i++)
        pthread_join(busy[i], NULL);
    for (size_t i = 0; i < 300; i++)
        slot_give(&batch[i]);
}

#endif
