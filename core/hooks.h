/* The named places at which a variant may look at the allocator. Empty in release: HAK_AUDIT is 0 there and the
 * compiler drops the calls. The functions behind them are in verify/audit*.c, one in verify/record.c.
 *
 * A hook sees the state that it names; none of them may change anything that the allocator reads. */
#ifndef HAK_HOOKS_H
#define HAK_HOOKS_H

#include "core/types.h"

struct hak_heap;
struct hak_slab;

/* What moved a batch of blocks. */
enum hak_batch {
    HAK_BATCH_TAKE,    /* freelist -> TLS SLL */
    HAK_BATCH_CARVE,   /* uncarved -> TLS SLL */
    HAK_BATCH_PUT,     /* TLS SLL -> freelist */
    HAK_BATCH_SEND,    /* TLS SLL -> remote list, before the push */
    HAK_BATCH_COLLECT, /* remote list -> freelist, before they are joined */
    HAK_BATCH_RESET    /* remote list -> uncarved, before the counters change */
};

/* What else happened to a slab or heap. */
enum hak_event {
    HAK_EVENT_SLAB_CREATED,
    HAK_EVENT_SLAB_DESTROYED,
    HAK_EVENT_SLAB_SWITCHED, /* it became its bin's current slab */
    HAK_EVENT_HEAP_ENDED,    /* its thread gives it up: everything is flushed */
    HAK_EVENT_HEAP_RECLAIMED,
    HAK_EVENT_HEAP_BEGUN,    /* the calling thread has it */
    HAK_EVENT_HEAP_SEIZED,   /* the calling thread works on it, instead of its own */
    HAK_EVENT_HEAP_RETURNED, /* it does no more */
    HAK_EVENT_HEAP_LOST /* an error was found: the subject is a thread that uses its heap no more */
};

/* ---- the audit's own state that hooks look at without a call --------------------------------- */

/* Options, read like the allocator's own: HAKMEM_AUDIT_LEVEL and so on. */
struct hak_audit_options {
    uint32_t level;       /* 0..3 */
    uint32_t leaks;       /* 1: list the live blocks at exit */
    uint32_t summary;     /* 1: say at exit what was checked */
    uint32_t signal;      /* number of the signal that proves the whole heap; 0: none */
    uint32_t unwind;      /* 1: stacks by unwind tables instead of frame pointers */
    char log[256];        /* also write reports here; "": nowhere */
    char symbolizer[256]; /* program that names addresses; "": the one beside the library */
};
extern HAK_HIDDEN struct hak_audit_options hak_audit_options;

/* A thread's books: what its bins must hold, by the audit's own count of what entered and left them. A thread has one heap
 * with blocks in its bins at a time; who seizes it has its books, too, for as long. */
struct hak_audit_thread {
    uint32_t lengths[HAK_CLASSES];
    struct hak_audit_thread *own;    /* of the seizer, meanwhile */
    struct hak_audit_thread *orphan; /* what the thread has for a heap that has no thread */
};

static inline void hak_audit_bin_length_add(unsigned bin, uint32_t change) {
    struct hak_audit_thread *thread = HAK_THREAD.books;
    if (HAK_LIKELY(bin < HAK_CLASSES) && HAK_LIKELY(thread != NULL)) thread->lengths[bin] += change;
}

/* True if the audit follows each block, not only each batch. */
static inline bool hak_audit_follows_blocks(void) {
    return HAK_VALGRIND || HAK_UNLIKELY(hak_audit_options.level >= 2);
}

/* ---- the functions behind the hooks ---------------------------------------------------------- */

/* The program entered the allocator, and leaves it: what happens in between is not the program's. Nestable. Only the
 * valgrind build has them. */
void hak_audit_enter(void);
void hak_audit_leave(void);
/* A large block began, all zero or not, or is about to end, or to be resized. The last two come before others can have any
 * of its memory. */
void hak_audit_large_begun(void *user, size_t size, bool zero);
void hak_audit_large_ended(void *user);
void hak_audit_large_resizing(void *user, size_t size);
/* Its pages have moved: what is at `user` will be given back now. */
void hak_audit_large_left(void *user);
/* It has its new size, or the old one again; at a new place if `old`, which others may have by now, is not `user`. */
void hak_audit_large_resized(void *old, void *user, size_t old_size, size_t size);
/* `user` is an aligned pointer inside of the live block `block`: the program knows only `user`; and the end of that. */
void hak_audit_aligned(void *block, void *user, size_t size);
void hak_audit_unaligned(void *block, void *user);
/* `user` was popped from a bin and is live now; `size` was asked for. This one and the next: of an audit that follows
 * blocks. */
void hak_audit_malloc(void *user, size_t size);
/* `user` is about to be freed: header and contents are still those of the live block. */
void hak_audit_free(void *user);
/* The `count` blocks of the list `head` moved; counters are those after the move. */
void hak_audit_batch(enum hak_batch batch, struct hak_slab *slab, void *head, uint32_t count);
/* A refill or flush of a bin is over. */
void hak_audit_bin(struct hak_heap *heap, unsigned bin);
void hak_audit_event(enum hak_event event, void *subject);
/* "NAME=value" of an option that the allocator does not know; true if the audit, or the recorder, does. */
bool hak_audit_option(const char *setting);
bool hak_record_option(const char *setting);
/* A live block stays where it is, and `size` is asked for now. */
void hak_audit_resize(void *user, size_t size);
/* Bytes that the program may use at `user`, which is the live block `block` or aligned inside of it, of `room`. */
size_t hak_audit_usable(const void *block, const void *user, size_t room);
/* An error of the program has been said, which the process does not survive: what is known of the block, or of what was one
 * at this address? */
void hak_audit_explain(const void *block);
/* The library was loaded, and the process ends. */
void hak_audit_begin(void);
void hak_audit_end(void);

/* What follows tells tools that do not know C11 atomics which order our atomic operations give. */
void hak_valgrind_release(const volatile void *word);
void hak_valgrind_acquire(const volatile void *word);
void hak_valgrind_atomic(const volatile void *word, size_t bytes);
void hak_valgrind_fresh(void *start, size_t bytes);

HAK_INLINE void hak_hook_enter(void) {
    if (HAK_VALGRIND) hak_audit_enter();
}

HAK_INLINE void hak_hook_leave(void) {
    if (HAK_VALGRIND) hak_audit_leave();
}

HAK_INLINE void hak_hook_large_begun(void *user, size_t size, bool zero) {
    if (HAK_AUDIT) hak_audit_large_begun(user, size, zero);
}

HAK_INLINE void hak_hook_large_ended(void *user) {
    if (HAK_AUDIT) hak_audit_large_ended(user);
}

HAK_INLINE void hak_hook_large_resizing(void *user, size_t size) {
    if (HAK_AUDIT) hak_audit_large_resizing(user, size);
}

HAK_INLINE void hak_hook_large_left(void *user) {
    if (HAK_AUDIT) hak_audit_large_left(user);
}

HAK_INLINE void hak_hook_large_resized(void *old, void *user, size_t old_size, size_t size) {
    if (HAK_AUDIT) hak_audit_large_resized(old, user, old_size, size);
}

HAK_INLINE void hak_hook_aligned(void *block, void *user, size_t size) {
    if (HAK_AUDIT) hak_audit_aligned(block, user, size);
}

HAK_INLINE void hak_hook_unaligned(void *block, void *user) {
    if (HAK_AUDIT) hak_audit_unaligned(block, user);
}

HAK_INLINE void hak_hook_malloc(void *user, size_t size) {
    if (!HAK_AUDIT) return;
    hak_audit_bin_length_add((unsigned)hak_header_of(user) - HAK_CLASS_HEADER_FIRST, -1u);
    if (hak_audit_follows_blocks()) hak_audit_malloc(user, size);
}

HAK_INLINE void hak_hook_free(void *user) {
    if (!HAK_AUDIT) return;
    hak_audit_bin_length_add((unsigned)hak_header_of(user) - HAK_CLASS_HEADER_FIRST, 1);
    if (hak_audit_follows_blocks()) hak_audit_free(user);
}

HAK_INLINE void hak_hook_batch(enum hak_batch batch, struct hak_slab *slab, void *head,
                               uint32_t count) {
    if (HAK_AUDIT) hak_audit_batch(batch, slab, head, count);
}

HAK_INLINE void hak_hook_bin(struct hak_heap *heap, unsigned bin) {
    if (HAK_AUDIT) hak_audit_bin(heap, bin);
}

HAK_INLINE void hak_hook_event(enum hak_event event, void *subject) {
    if (HAK_AUDIT) hak_audit_event(event, subject);
}

HAK_INLINE bool hak_hook_option(const char *setting) {
    if (HAK_RECORD) return hak_record_option(setting);
    return HAK_AUDIT ? hak_audit_option(setting) : false;
}

HAK_INLINE void hak_hook_resize(void *user, size_t size) {
    if (HAK_AUDIT) hak_audit_resize(user, size);
}

HAK_INLINE size_t hak_hook_usable(const void *block, const void *user, size_t room) {
    return HAK_AUDIT ? hak_audit_usable(block, user, room) : room;
}

HAK_INLINE void hak_hook_report(const void *block) {
    if (HAK_AUDIT) hak_audit_explain(block);
}

HAK_INLINE void hak_hook_begin(void) {
    if (HAK_AUDIT) hak_audit_begin();
}

HAK_INLINE void hak_hook_end(void) {
    if (HAK_AUDIT) hak_audit_end();
}

/* Before an atomic operation on `word` that releases: all that this thread did so far comes before ... */
HAK_INLINE void hak_hook_release(const volatile void *word) {
    if (HAK_VALGRIND) hak_valgrind_release(word);
}

/* ... all that a thread does after an atomic operation on `word` that acquires. */
HAK_INLINE void hak_hook_acquire(const volatile void *word) {
    if (HAK_VALGRIND) hak_valgrind_acquire(word);
}

/* `word` is atomic: that threads store and load it at once is no race. Before its first store; what its operations
 * order is told by the two hooks above, and by nothing if they are relaxed. */
HAK_INLINE void hak_hook_atomic(const volatile void *word, size_t bytes) {
    if (HAK_VALGRIND) hak_valgrind_atomic(word, bytes);
}

/* Memory that the system gave us and nobody has used. */
HAK_INLINE void hak_hook_fresh(void *start, size_t bytes) {
    if (HAK_VALGRIND) hak_valgrind_fresh(start, bytes);
}

#endif
