/* The protocol of remote frees, all of it (docs/decisions/0003-notification-epochs.md).
 *
 * Each slab has a remote list: a stack of its blocks that other threads have freed and the owner
 * has not collected yet. One word holds the first block and the length, so that the exact length
 * is known without a walk:
 *
 *     remote = first block << 16 | length          0: empty
 *
 * An epoch lasts from the push that finds the list empty until the owner takes the list. The
 * thread of that push, and no other, puts the slab on its home's stack of notified slabs. The owner
 * takes a remote list only if it has found the slab on that stack. From this follows:
 *
 *   - Each epoch has exactly one notification. It cannot be lost or doubled.
 *   - During an epoch the remote list is not empty, therefore used > 0, and the slab can be neither
 *     destroyed nor moved to another home. So the pusher may read slab->home after its push. */
#ifndef HAK_REMOTE_H
#define HAK_REMOTE_H

#include "core/hooks.h"
#include "core/slab.h"

/* Any thread. Pushes the chain head..tail of `count` blocks of this slab. True: the push has begun
 * an epoch, and the caller must call hak_home_notify. */
static inline bool hak_remote_push(struct hak_slab *slab, struct hak_block *head,
                                   struct hak_block *tail, uint32_t count) {
    HAK_ASSERT(count > 0 && (uintptr_t)head >> 48 == 0);
    uint64_t old = atomic_load_explicit(&slab->remote, memory_order_relaxed);
    uint64_t new;
    do {
        HAK_CHECK(hak_remote_word_count(old) + count <= slab->capacity);
        tail->next = hak_remote_word_head(old);
        new = (uint64_t)(uintptr_t)head << HAK_REMOTE_COUNT_BITS |
              (hak_remote_word_count(old) + count);
        hak_hook_release(&slab->remote);
        /* release: the thread that takes the list sees the links written above. acquire: the owner
         * has read notify_next of the last epoch before the pusher of this epoch writes it. */
    } while (!atomic_compare_exchange_weak_explicit(&slab->remote, &old, new, memory_order_acq_rel,
                                                    memory_order_relaxed));
    hak_hook_acquire(&slab->remote);
    return old == 0;
}

/* The owner, for a slab from its home's stack of notified slabs. Takes the whole remote list, and
 * ends the epoch. Returns the word: first block and length. */
static inline uint64_t hak_remote_take(struct hak_slab *slab) {
    hak_hook_release(&slab->remote);
    /* acquire: the owner sees the links that the pushers wrote. release: the owner has read
     * notify_next; the next pusher may write it from here on. */
    uint64_t word = atomic_exchange_explicit(&slab->remote, 0, memory_order_acq_rel);
    hak_hook_acquire(&slab->remote);
    return word;
}

/* The thread whose push began the slab's epoch, once in the epoch: puts the slab on the stack of
 * notified slabs. */
static inline void hak_home_notify(struct hak_home *home, struct hak_slab *slab) {
    struct hak_slab *old = atomic_load_explicit(&home->notified, memory_order_relaxed);
    do {
        slab->notify_next = old;
        hak_hook_release(&home->notified);
        /* release: the thread that takes the stack sees notify_next */
    } while (!atomic_compare_exchange_weak_explicit(&home->notified, &old, slab,
                                                    memory_order_release, memory_order_relaxed));
}

/* The owner of the home. Takes the whole stack; the most recently notified slab comes first. NULL:
 * no slab is notified. */
static inline struct hak_slab *hak_home_take_notified(struct hak_home *home) {
    /* The load keeps the cache line shared while no slab is notified. acquire: the owner sees
     * notify_next, which the notifying threads wrote. */
    if (atomic_load_explicit(&home->notified, memory_order_relaxed) == NULL) return NULL;
    struct hak_slab *first = atomic_exchange_explicit(&home->notified, NULL, memory_order_acquire);
    hak_hook_acquire(&home->notified);
    return first;
}

/* Any thread. True if a slab is notified; other threads may change that at any time. */
static inline bool hak_home_is_notified(const struct hak_home *home) {
    return atomic_load_explicit(&home->notified, memory_order_relaxed) != NULL;
}

#endif
