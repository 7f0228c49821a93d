/* The cross-thread protocol, all of it.
 *
 * Each slab has a remote list: a stack of blocks that threads who do not own the slab gave back. One word
 * holds its first block and its length, so that the length is exact without a walk:
 *
 *     remote = first block << 16 | length          0: empty
 *
 * Epochs. The push that finds the list empty begins an epoch, and that pusher, no other, puts the slab on its
 * home's stack of notified slabs. The owner takes a remote list only when it finds the slab on that stack. So
 * per epoch there is one notification, which cannot be lost or doubled, and while an epoch lasts
 * (remote length > 0, therefore used > 0) the slab can be neither destroyed nor moved to another home: the
 * pusher may still read slab->home after its push. */
#ifndef HAK_REMOTE_H
#define HAK_REMOTE_H

#include "core/hooks.h"
#include "core/slab.h"

/* Any thread. Pushes the chain head..tail of `count` blocks of this slab; true if it began an epoch. */
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
        /* release: the links written above are seen by whoever takes the list; acquire: the owner's look at the
         * slab's last notification is over before this epoch's pusher writes the next */
    } while (!atomic_compare_exchange_weak_explicit(&slab->remote, &old, new, memory_order_acq_rel,
                                                    memory_order_relaxed));
    hak_hook_acquire(&slab->remote);
    return old == 0;
}

/* Owner, on a slab from its notified stack. Takes the whole list and ends the epoch. */
static inline uint64_t hak_remote_take(struct hak_slab *slab) {
    hak_hook_release(&slab->remote);
    /* acquire: the links of the pushers; release: notify_next was read before, and may be written from here on */
    uint64_t word = atomic_exchange_explicit(&slab->remote, 0, memory_order_acq_rel);
    hak_hook_acquire(&slab->remote);
    return word;
}

/* The pusher that began the slab's epoch, once. */
static inline void hak_home_notify(struct hak_home *home, struct hak_slab *slab) {
    struct hak_slab *old = atomic_load_explicit(&home->notified, memory_order_relaxed);
    do {
        slab->notify_next = old;
        hak_hook_release(&home->notified);
        /* release: notify_next is seen by whoever takes the stack */
    } while (!atomic_compare_exchange_weak_explicit(&home->notified, &old, slab,
                                                    memory_order_release, memory_order_relaxed));
}

/* Owner of the home. Takes the whole stack, most recently notified first. */
static inline struct hak_slab *hak_home_take_notified(struct hak_home *home) {
    /* the plain load keeps the line shared while there is nothing; acquire: the links of the notifiers */
    if (atomic_load_explicit(&home->notified, memory_order_relaxed) == NULL) return NULL;
    struct hak_slab *first = atomic_exchange_explicit(&home->notified, NULL, memory_order_acquire);
    hak_hook_acquire(&home->notified);
    return first;
}

/* Any thread; a snapshot. */
static inline bool hak_home_is_notified(const struct hak_home *home) {
    return atomic_load_explicit(&home->notified, memory_order_relaxed) != NULL;
}

#endif
