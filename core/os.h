/* The only contact with the operating system: memory, time, locks.
 *
 * Memory calls go through one table, which tests replace to make the k-th call fail. Contract of the entries:
 *   - addresses and lengths are multiples of the page size;
 *   - none touches errno, none allocates;
 *   - false or NULL means that nothing has changed. */
#ifndef HAK_OS_H
#define HAK_OS_H

#include <pthread.h>

#include "core/types.h"

enum hak_moved { HAK_MOVED, HAK_NOT_MOVED, HAK_NOT_MOVED_TO_LOST };

struct hak_os_table {
    /* Address space without memory; NULL if there is not so much. */
    void *(*reserve)(size_t bytes);
    /* Gives address space back. */
    bool (*release)(void *start, size_t bytes);
    /* Makes reserved pages readable and writable, zero at first touch. */
    bool (*commit)(void *start, size_t bytes);
    /* Gives the pages' memory back; they read as zero afterwards. */
    bool (*purge)(void *start, size_t bytes);
    /* Replaces pages by fresh zero ones; joins the mapping with its neighbours again after move(). */
    bool (*renew)(void *start, size_t bytes);
    /* Moves the pages' contents to other committed pages without copying; `from` reads as zero afterwards. If it
     * fails, `to` reads as zero, or is lost: unmapped, for the kernel makes room there before it looks further. */
    enum hak_moved (*move)(void *from, void *to, size_t bytes);
    /* Advises for (true) or against (false) transparent huge pages. */
    bool (*huge_pages)(void *start, size_t bytes, bool wanted);
};

extern HAK_HIDDEN const struct hak_os_table hak_os;

size_t hak_os_page_size(void);
size_t hak_os_memory_size(void); /* bytes of physical memory; 0 if unknown */

/* Milliseconds of a clock that never goes back; resolution a few milliseconds, no system call. */
uint32_t hak_os_now_ms(void);

/* A memory barrier in all threads of the process at once, which costs those that do not ask for it nothing. begin: once,
 * early, for the system's call is slow in a process that has several threads; false: it has none, and barrier() may not be
 * called. */
bool hak_os_barrier_begin(void);
bool hak_os_barrier(void);

/* Sleeps until another thread wakes those that wait for the word, unless it has another value already. May return early. */
void hak_os_wait(_Atomic uint32_t *word, uint32_t value);
void hak_os_wake(_Atomic uint32_t *word);

/* The kernel's number of the calling thread. */
int hak_os_thread_id(void);

/* True if the calling thread is in the last part of its end, where no destructor runs any more and libc frees stacks: glibc
 * has blocked all signals then, also the one of its own that pthread_sigmask(3) never blocks. False where that is not
 * known. */
bool hak_os_thread_ends(void);

/* True if the process runs with more rights than its caller (AT_SECURE): its environment is hostile. */
bool hak_os_is_secure(void);

/* Locks. A thread takes them only in rising rank; debug builds prove it. */
enum hak_lock_rank {
    HAK_RANK_SEIZING = 1,
    HAK_RANK_HEAPS,
    HAK_RANK_CACHE,
    HAK_RANK_BIGCACHE,
    HAK_RANK_RANGE,
    HAK_RANK_COUNT
};

struct hak_lock {
    pthread_mutex_t mutex;
    enum hak_lock_rank rank;
};

#define HAK_LOCK_INITIALIZER(rank_)                                                                          \
    { .mutex = PTHREAD_MUTEX_INITIALIZER, .rank = (rank_) }

void hak_lock_take(struct hak_lock *lock);
void hak_lock_drop(struct hak_lock *lock);
/* Takes it, if `wait` says so or nobody has it; false: not taken. A thread that forks never gets it so. */
bool hak_lock_try(struct hak_lock *lock, bool wait);
/* The calling thread has found an error: it lets go of each lock, if it holds it; and then, if it forks, of that state. */
void hak_lock_abandon(struct hak_lock *lock);
void hak_lock_fork_abandon(void);
bool hak_lock_is_held(const struct hak_lock *lock); /* by the calling thread */
/* Between these the calling thread holds all locks: its takes and drops do nothing. */
void hak_lock_fork_begin(void);
void hak_lock_fork_end(void);

#endif
