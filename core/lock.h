/* Locks of our own: pthread_mutex_lock may be wrapped by another library, and its mutex does not say who holds it.
 *
 * A lock is one word: the thread that holds it, or 0. A thread is named by the address of its struct hak_thread, which stays
 * the same in the child of a fork. So the child can tell the locks that it holds itself (a signal handler that interrupted an
 * allocation may fork) from those of threads that do not exist there. The latter become "lost": the next thread that takes a
 * lost lock first rebuilds what the lock protects from tables that are whole at each instruction, and then goes on. So no
 * lock has to be held across fork.
 *
 * A thread takes locks only in rising rank; debug builds prove that. No function of another library is called under a lock. */
#ifndef HAK_LOCK_H
#define HAK_LOCK_H

#include "core/types.h"

enum hak_lock_rank {
    HAK_RANK_SEIZING,
    HAK_RANK_HEAPS,
    HAK_RANK_CACHE,
    HAK_RANK_BIGCACHE,
    HAK_RANK_RANGE,
    HAK_RANK_COUNT
};

struct hak_lock {
    _Alignas(64) _Atomic uintptr_t holder; /* | HAK_LOCK_AWAITED; 0: free */
    enum hak_lock_rank rank;
    _Atomic bool lost; /* its holder does not exist in this process */
    void (*rebuild)(
        void); /* makes whole what the lock protects; the caller holds the lock. NULL: nothing to do */
};
#define HAK_LOCK_AWAITED ((uintptr_t)1)

/* All locks, by rank. */
extern HAK_HIDDEN struct hak_lock hak_locks[HAK_RANK_COUNT];

/* Once, before the lock is first taken. */
void hak_lock_begin(enum hak_lock_rank rank, void (*rebuild)(void));

void hak_lock_take(struct hak_lock *lock);
void hak_lock_drop(struct hak_lock *lock);
/* Takes the lock if nobody holds it; false: somebody does. */
bool hak_lock_try(struct hak_lock *lock);

/* True if the calling thread holds the lock. */
bool hak_lock_is_mine(const struct hak_lock *lock);

/* True from the fork until the lock's data have been rebuilt. */
static inline bool hak_lock_is_lost(const struct hak_lock *lock) {
    return atomic_load_explicit(&lock->lost, memory_order_relaxed);
}

/* True if the calling thread holds any lock: a signal handler runs, or one calls that must not
 * take another. */
bool hak_lock_any_is_mine(void);

/* In a child of fork: the locks of threads that do not exist here are lost from here on. Once
 * for each fork; later calls do nothing. Whoever takes a lock calls it first, for no handler of
 * fork may have run, and before a second thread has taken one: after that nobody can tell whose
 * thread exists. */
void hak_locks_after_fork(void);

/* Drops all locks of the calling thread: the process is about to end with a message. */
void hak_locks_abandon(void);

#endif
