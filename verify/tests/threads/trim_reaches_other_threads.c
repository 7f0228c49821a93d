/* malloc_trim reaches the free memory of other threads. It does so at once if they are outside of
 * the allocator. Where the system has no memory barrier for all threads, they follow the trim
 * once, at their next slow path. Run with an endless purge delay, so that no memory goes back
 * otherwise.
 *
 * usage: trim_reaches_other_threads at-once|later [already]
 *   later     this program makes the system refuse the barrier
 *   already   something else keeps the trim from other threads: the barrier is not refused */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "threads.h"

/* Blocks of 1000 bytes, of which one stays live in each SuperSlab. */
enum { BLOCKS = 48000, KEPT_EVERY = 1500 };

static pthread_barrier_t step;

/* Takes each kind of slow path. After each of them the thread is outside of the allocator again. */
static void take_each_way(void) {
    mallinfo2();
    CHECK(malloc(test_opaque((size_t)PTRDIFF_MAX)) == NULL, "more than there can be");
    free(test_opaque_pointer(malloc(MIB)));
    free(test_opaque_pointer(calloc(1, MIB)));
    free(test_opaque_pointer(aligned_alloc(4096, 100)));
    free(test_opaque_pointer(aligned_alloc(4096, MIB)));
    char *block = malloc(100);
    for (size_t size = 200; size <= 4 * MIB; size *= 2)
        block = realloc(block, size);
    free(realloc(block, 100));
}

static void *hold_free_memory(void *unused) {
    void **blocks = process_map(BLOCKS * sizeof *blocks);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            if (blocks[i] == NULL) blocks[i] = malloc(1000);
            CHECK(blocks[i] != NULL, "block %zu", i);
            memset(blocks[i], 1, 1000);
        }
        for (size_t i = 0; i < BLOCKS; i++)
            if (i % KEPT_EVERY != 0) free(blocks[i]), blocks[i] = NULL;
        take_each_way();
        pthread_barrier_wait(&step); /* all is free now */
        pthread_barrier_wait(&step); /* there was a trim in the first round, none in the second */
        process_work_a_little();
        pthread_barrier_wait(&step); /* a slow path followed the trim */
        pthread_barrier_wait(&step); /* the memory was measured: new blocks may come */
    }
    for (size_t i = 0; i < BLOCKS; i += KEPT_EVERY)
        free(blocks[i]);
    munmap(blocks, BLOCKS * sizeof *blocks);
    return unused;
}

/* Executes this program again, without membarrier(). */
static void refuse_barrier(char **argv) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {TEST_COUNT(filter), filter};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
              prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0,
          "no filter");
    char *again[] = {argv[0], argv[1], "refused", NULL};
    execv("/proc/self/exe", again);
    CHECK(false, "cannot begin anew");
}

int main(int argc, char **argv) {
    test_needs_hakmem();
    CHECK(argc >= 2, "usage: trim_reaches_other_threads at-once|later");
    bool later = strcmp(argv[1], "later") == 0;
    if (later && argc == 2) refuse_barrier(argv);
    CHECK(pthread_barrier_init(&step, NULL, 2) == 0, "barrier");
    process_work_a_little();
    pthread_t thread = thread_start(hold_free_memory, NULL);
    for (int round = 0; round < 2; round++) {
        bool trims = round == 0;
        pthread_barrier_wait(&step);
        size_t before = process_resident();
        if (trims) malloc_trim(0);
        size_t at_once = process_resident();
        pthread_barrier_wait(&step);
        pthread_barrier_wait(&step);
        size_t after = process_resident();
        pthread_barrier_wait(&step);
        CHECK((at_once + 24 * MIB < before) == (trims && !later),
              "%zu MiB are resident, then %zu at once, %s a trim", before / MIB, at_once / MIB,
              trims ? "after" : "without");
        CHECK((after + 24 * MIB < before) == trims, "%zu MiB are resident, then %zu, %s a trim",
              before / MIB, after / MIB, trims ? "after" : "without");
    }
    thread_join(thread);
    return test_ok("one trim, followed once");
}
