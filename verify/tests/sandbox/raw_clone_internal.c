/* The child of a direct clone(2) has run no handlers of fork. A thread of the parent holds a
 * lock, and does not exist in the child: the child must not wait for this lock for ever. The test
 * tries each lock but that of seizing. The child of a vfork shares its parent's memory: it may
 * wait until the holder drops the lock.
 *
 * usage: raw_clone_internal knows|waits
 *   knows   the child knows that it is new, and takes each lock over
 *   waits   nothing tells the child that it is new: it waits for ever; one lock is tried */
#define TEST_LINKED
#include "../test.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/lock.h"

static _Atomic int held, over; /* threads spin on them: libc's locks may not wait here */
static struct hak_lock *lock;

static void wait_for(_Atomic int *flag) {
    while (atomic_load(flag) == 0)
        sched_yield();
}

static void *hold(void *unused) {
    hak_lock_take(lock);
    atomic_store(&held, 1);
    wait_for(&over);
    hak_lock_drop(lock);
    return unused;
}

static void use_all(void) {
    static const size_t sizes[] = {10, 1000, 30000, 1000000, 2000000};
    for (size_t round = 0; round < 2; round++) {
        void *blocks[TEST_COUNT(sizes)];
        for (size_t i = 0; i < TEST_COUNT(sizes); i++)
            blocks[i] = memset(hak_malloc(sizes[i]), 1, sizes[i]);
        for (size_t i = 0; i < TEST_COUNT(sizes); i++)
            hak_free(blocks[i]);
        hak_malloc_trim(0);
    }
}

/* True if a child of clone gets through while another thread of the parent holds the lock. */
static bool child_gets_through(unsigned seconds) {
    pthread_t thread;
    int status;
    held = over = 0;
    CHECK(pthread_create(&thread, NULL, hold, NULL) == 0, "no thread");
    wait_for(&held);
    long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        alarm(seconds);
        use_all();
        child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); /* the child's own child */
        if (child == 0) {
            use_all();
            _exit(0);
        }
        _exit(waitpid((pid_t)child, &status, 0) == child && status == 0 ? 0 : 1);
    }
    CHECK(child > 0 && waitpid((pid_t)child, &status, 0) == child, "clone: errno %d", errno);
    bool waits = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    CHECK(status == 0 || waits, "status %#x", status);
    atomic_store(&over, 1);
    CHECK(pthread_join(thread, NULL) == 0, "join");
    return !waits;
}

/* Ends the hold when the child of vfork waits. The child shares this memory, so the word of the
 * lock shows that a thread waits. */
static void *end_hold_when_awaited(void *unused) {
    while ((atomic_load(&lock->holder) & HAK_LOCK_AWAITED) == 0)
        usleep(1000);
    atomic_store(&over, 1);
    return unused;
}

/* The holder drops the lock while the child waits. If the child had taken the lock for lost, the
 * holder would find that it no longer holds the lock. */
static void vfork_waits(void) {
    pthread_t threads[2];
    int status;
    held = over = 0;
    lock = &hak_locks[HAK_RANK_RANGE];
    CHECK(pthread_create(&threads[0], NULL, hold, NULL) == 0, "no thread");
    wait_for(&held);
    CHECK(pthread_create(&threads[1], NULL, end_hold_when_awaited, NULL) == 0, "no thread");
    pid_t child = vfork();
    if (child == 0) {
        hak_free(hak_malloc(3000000));
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0, "vfork: status %#x",
          status);
    for (size_t i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0, "join");
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: raw_clone_internal knows|waits");
    use_all();
    lock = &hak_locks[HAK_RANK_RANGE];
    if (strcmp(argv[1], "waits") == 0) {
        CHECK(!child_gets_through(1), "the child knows");
        return test_ok("the child waits");
    }
    for (unsigned rank = HAK_RANK_HEAPS; rank < HAK_RANK_COUNT; rank++) {
        lock = &hak_locks[rank];
        CHECK(child_gets_through(600), "lock %u: the child waits for ever", rank);
    }
    vfork_waits();
    use_all();
    return test_ok("%d locks", HAK_RANK_COUNT - HAK_RANK_HEAPS);
}
