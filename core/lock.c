#include "core/lock.h"

#include <limits.h>

#include "core/hooks.h"
#include "core/os.h"
#include "core/os_process.h"

struct hak_lock hak_locks[HAK_RANK_COUNT] = {
    {.rank = HAK_RANK_SEIZING},
    {.rank = HAK_RANK_HEAPS},
    {.rank = HAK_RANK_CACHE},
    {.rank = HAK_RANK_RANGE},
};

static uintptr_t my_name(void) {
    return (uintptr_t)&HAK_THREAD;
}

static uintptr_t holder_of(const struct hak_lock *lock) {
    return atomic_load_explicit(&lock->holder, memory_order_relaxed) & ~HAK_LOCK_AWAITED;
}

/* The half of the word that futex(2) compares: the low half, which contains HAK_LOCK_AWAITED. */
static _Atomic uint32_t *futex_word(struct hak_lock *lock) {
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half comes first");
    return (_Atomic uint32_t *)(void *)&lock->holder;
}

static bool take_free(struct hak_lock *lock, uintptr_t name) {
    uintptr_t free = 0;
    return atomic_compare_exchange_strong_explicit(&lock->holder, &free, name, memory_order_acquire,
                                                   memory_order_relaxed);
}

/* Other threads may wait too, so a thread that has waited takes the lock with HAK_LOCK_AWAITED
 * set. */
static HAK_NOINLINE void wait_and_take(struct hak_lock *lock) {
    const uintptr_t name = my_name() | HAK_LOCK_AWAITED;
    while (!take_free(lock, name)) {
        hak_locks_after_fork();
        uintptr_t holder = atomic_load_explicit(&lock->holder, memory_order_relaxed);
        if (holder == 0) continue;
        HAK_CHECK((holder & ~HAK_LOCK_AWAITED) != my_name());
        uintptr_t awaited = holder | HAK_LOCK_AWAITED;
        if (holder == awaited ||
            atomic_compare_exchange_strong_explicit(&lock->holder, &holder, awaited,
                                                    memory_order_relaxed, memory_order_relaxed))
            hak_os_wait(futex_word(lock), (uint32_t)awaited);
    }
}

static bool holds_none_from(enum hak_lock_rank rank) {
    for (unsigned i = rank; i < HAK_RANK_COUNT; i++)
        if (holder_of(&hak_locks[i]) == my_name()) return false;
    return true;
}

/* After each take: rebuilds the data under a stale lock. */
static void taken(struct hak_lock *lock) {
    hak_hook_acquire(&lock->rank);
    HAK_ASSERT(hak_lock_is_mine(lock));
    if (HAK_LIKELY(!hak_lock_is_stale(lock))) return;
    if (lock->rebuild != NULL) lock->rebuild();
    atomic_store_explicit(&lock->stale, false, memory_order_relaxed);
}

void hak_lock_init(enum hak_lock_rank rank, void (*rebuild)(void)) {
    struct hak_lock *lock = &hak_locks[rank];
    HAK_CHECK(lock->rank == rank);
    hak_hook_atomic(&lock->holder, sizeof lock->holder);
    hak_hook_atomic(&lock->stale, sizeof lock->stale);
    lock->rebuild = rebuild;
}

void hak_lock_take(struct hak_lock *lock) {
    hak_locks_after_fork();
    HAK_ASSERT(holds_none_from(lock->rank));
    if (HAK_UNLIKELY(!take_free(lock, my_name()))) wait_and_take(lock);
    taken(lock);
}

bool hak_lock_try(struct hak_lock *lock) {
    hak_locks_after_fork();
    HAK_ASSERT(holds_none_from(lock->rank));
    if (!take_free(lock, my_name())) return false;
    taken(lock);
    return true;
}

void hak_lock_drop(struct hak_lock *lock) {
    hak_hook_release(&lock->rank);
    uintptr_t holder = atomic_exchange_explicit(&lock->holder, 0, memory_order_release);
    if (HAK_LIKELY(holder == my_name())) return;
    HAK_CHECK(holder == (my_name() | HAK_LOCK_AWAITED));
    hak_os_wake(futex_word(lock), 1);
}

bool hak_lock_is_mine(const struct hak_lock *lock) {
    return holder_of(lock) == my_name();
}

bool hak_lock_any_is_mine(void) {
    return !holds_none_from(0);
}

/* A thread that began in the child may have the name of a thread that does not exist here, if it
 * got that thread's stack. Such a thread holds no lock yet: it calls hak_locks_after_fork before it
 * takes its first one. So only the thread that forked can be a holder. */
static void locks_mark_stale(void) {
    const bool has_forked = hak_os_thread_is_first();
    for (unsigned i = 0; i < HAK_RANK_COUNT; i++) {
        struct hak_lock *lock = &hak_locks[i];
        uintptr_t holder = holder_of(lock);
        if (holder == 0 || (holder == my_name() && has_forked)) continue;
        atomic_store_explicit(&lock->stale, true, memory_order_relaxed);
        atomic_store_explicit(&lock->holder, 0, memory_order_release);
        hak_os_wake(futex_word(lock), INT_MAX);
    }
}

/* One thread marks the locks, and other threads that the child has begun already wait for it. A
 * signal handler that interrupts this very thread does not wait: it finds the thread's own name in
 * the busy state. */
static HAK_NOINLINE void process_begins(void) {
    const uint32_t busy = HAK_PROCESS_BUSY | ((uint32_t)my_name() & ~7u);
    uint32_t state;
    while ((state = hak_os_process_state()) != busy && state != HAK_PROCESS_LOCKS &&
           state != HAK_PROCESS_KNOWN) {
        if (state != HAK_PROCESS_NEW) {
            hak_os_process_wait(state);
        } else if (hak_os_process_set(HAK_PROCESS_NEW, busy)) {
            locks_mark_stale();
            hak_os_process_set(busy, HAK_PROCESS_LOCKS);
        }
    }
}

void hak_locks_after_fork(void) {
    if (HAK_UNLIKELY(hak_os_process_state() != HAK_PROCESS_KNOWN)) process_begins();
}

void hak_locks_give_up(void) {
    for (unsigned i = 0; i < HAK_RANK_COUNT; i++)
        if (hak_lock_is_mine(&hak_locks[i])) hak_lock_drop(&hak_locks[i]);
}
