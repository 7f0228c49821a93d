/* HAKMEM's own locks. Another library may wrap pthread_mutex_lock, and a mutex does not say who
 * holds it.
 *
 * A lock is one word: the name of the thread that holds it, or 0. The name of a thread is the
 * address of its struct hak_thread, which stays the same in the child of a fork. So the child can
 * tell the locks that it holds itself (a signal handler that interrupted an allocation may fork)
 * from the locks of threads that do not exist there. The latter become "stale": the next thread
 * that takes a stale lock first rebuilds the data under the lock, from tables that are whole at
 * each instruction, and then goes on. So no lock has to be held across fork.
 *
 * A thread takes locks only in rising rank; debug and audit builds prove that. A thread that holds
 * a lock calls no function of another library. */
#ifndef HAK_LOCK_H
#define HAK_LOCK_H

#include "core/types.h"

enum hak_lock_rank {
    HAK_RANK_SEIZING,
    HAK_RANK_HEAPS,
    HAK_RANK_CACHE,
    HAK_RANK_RANGE,
    HAK_RANK_COUNT
};

struct hak_lock {
    _Alignas(64) _Atomic uintptr_t holder; /* name of a thread, | HAK_LOCK_AWAITED; 0: free */
    enum hak_lock_rank rank;
    _Atomic bool stale; /* the holder did not exist in this process; see hak_lock_is_stale */
    /* Makes the data under the lock whole; the caller holds the lock. NULL: nothing to do. */
    void (*rebuild)(void);
};
#define HAK_LOCK_AWAITED ((uintptr_t)1) /* another thread may wait for the lock */

/* All locks, by rank. */
extern HAK_HIDDEN struct hak_lock hak_locks[HAK_RANK_COUNT];

/* Once for each lock, in the allocator's setup, under the heaps' lock. That lock itself is taken
 * before. */
void hak_lock_init(enum hak_lock_rank rank, void (*rebuild)(void));

void hak_lock_take(struct hak_lock *lock);
void hak_lock_drop(struct hak_lock *lock);
/* Takes the lock if it is free; false: a thread holds it. */
bool hak_lock_try(struct hak_lock *lock);

/* True if the calling thread holds the lock. */
bool hak_lock_is_mine(const struct hak_lock *lock);

/* True in a child of fork from hak_locks_after_fork until the data under the lock have been
 * rebuilt. */
static inline bool hak_lock_is_stale(const struct hak_lock *lock) {
    return atomic_load_explicit(&lock->stale, memory_order_relaxed);
}

/* True if the calling thread holds any lock, as in a signal handler that interrupted the
 * allocator. */
bool hak_lock_any_is_mine(void);

/* In a child of fork: marks the locks of threads that do not exist here as stale. Works once for
 * each fork; later calls do nothing. hak_lock_take and hak_lock_try call it first, because possibly
 * no handler of fork has run. It must run before a second thread of the child takes a lock: after
 * that nobody can tell which holders exist. */
void hak_locks_after_fork(void);

/* Drops all locks that the calling thread holds: it has found an error, and the process is about to
 * end. */
void hak_locks_give_up(void);

#endif
