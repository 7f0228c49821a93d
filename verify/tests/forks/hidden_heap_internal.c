/* Another thread hides this thread's heap for a moment, to see whether it may seize the heap. A
 * fork from a signal handler in that moment leaves the heap to the child's thread, which is at work
 * on it. A heap that was really seized is lost to the child. */
#define TEST_LINKED
#include "../threads/threads.h"

#include <sys/wait.h>

#include "core/enter.h"
#include "core/seize.h"

static struct hak_heap *heap;

static void child_goes_on(enum hak_heap_state state) {
    const bool is_own = state == HAK_HEAP_OWN;
    CHECK(hak_thread_heap() == (is_own ? heap : &hak_heap_none), "the child has another heap");
    CHECK(heap->state == (is_own ? HAK_HEAP_OWN : HAK_HEAP_LOST), "state %d", heap->state);
    CHECK(HAK_THREAD.slow == HAK_SLOW_PATH, "slow is %u", HAK_THREAD.slow);
    hak_slow_leave();
    for (size_t size = 1; size < 100000; size += size / 8 + 1)
        hak_free(hak_malloc(size));
    _exit(0);
}

/* As a handler would, that has interrupted this thread on a slow path. */
static void fork_while_hidden(enum hak_heap_state state, uint32_t slow) {
    hak_slow_enter(0);
    atomic_store(&HAK_THREAD.slow, slow);
    hak_thread_heap_set(&hak_heap_seized);
    heap->state = state;
    pid_t child = fork();
    if (child == 0) child_goes_on(state);
    heap->state = HAK_HEAP_OWN;
    hak_thread_heap_set(heap);
    atomic_store(&HAK_THREAD.slow, HAK_SLOW_PATH);
    hak_slow_leave();
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0, "the child ends with %#x", status);
}

/* A handler that has interrupted a thread which holds a lock takes no other one. */
static void fork_with_a_lock(void) {
    for (unsigned rank = 0; rank < HAK_RANK_COUNT; rank++) {
        hak_lock_take(&hak_locks[rank]);
        hak_seize_fork_prepare();
        CHECK(HAK_THREAD.forks == 0, "the seizing lock is taken behind that of rank %u", rank);
        hak_seize_fork_end();
        hak_lock_drop(&hak_locks[rank]);
    }
}

int main(void) {
    hak_free(hak_malloc(100));
    heap = hak_thread_heap();
    CHECK(heap->state == HAK_HEAP_OWN, "state %d", heap->state);
    fork_while_hidden(HAK_HEAP_OWN, HAK_SLOW_PATH);
    fork_while_hidden(HAK_HEAP_OWN, HAK_SLOW_WAITS);
    fork_while_hidden(HAK_HEAP_SEIZED, HAK_SLOW_WAITS);
    fork_with_a_lock();
    return test_ok("a hidden heap stays, a seized one is lost");
}
