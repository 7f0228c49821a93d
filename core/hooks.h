/* Hooks: the named places at which a variant may look at the allocator. In release they are empty:
 * HAK_AUDIT is 0 there, and the compiler drops the calls. The functions behind the hooks are in
 * verify/audit*.c, one is in verify/record.c.
 *
 * A hook sees the state that its comment names. No hook may change anything that the allocator
 * reads. */
#ifndef HAK_HOOKS_H
#define HAK_HOOKS_H

#include "core/types.h"

struct hak_heap;
struct hak_slab;

/* The kinds of batches: where the blocks come from and where they go. The hook runs after the
 * counters have changed, unless the comment says otherwise. */
enum hak_batch {
    HAK_BATCH_TAKE,    /* freelist -> bin */
    HAK_BATCH_CARVE,   /* uncarved -> bin */
    HAK_BATCH_PUT,     /* bin -> freelist */
    HAK_BATCH_SEND,    /* bin -> remote list, before the push */
    HAK_BATCH_COLLECT, /* remote list -> freelist, after the two were joined */
    HAK_BATCH_RESET,   /* remote list -> uncarved, before the counters change */
    HAK_BATCH_UNCARVE, /* freelist -> uncarved, before their pages' memory goes back */
    HAK_BATCH_RECARVE  /* uncarved -> freelist, which was empty */
};

/* Other events of a slab or a heap, which is the subject. */
enum hak_event {
    HAK_EVENT_SLAB_CREATED,
    HAK_EVENT_SLAB_DESTROYED,
    HAK_EVENT_SLAB_SWITCHED, /* the slab became its bin's current slab */
    HAK_EVENT_HEAP_ENDED,    /* its thread gives the heap up: everything is flushed */
    HAK_EVENT_HEAP_RECLAIMED,
    HAK_EVENT_HEAP_BEGUN,  /* the calling thread has obtained the heap */
    HAK_EVENT_VISIT_BEGUN, /* the calling thread works on this heap, instead of its own */
    HAK_EVENT_VISIT_ENDED, /* the calling thread works on its own heap again */
    /* The subject is a thread that does not use its heap any more: an error was found, or a fork
     * has lost the heap. */
    HAK_EVENT_HEAP_LOST
};

/* ---- the audit's own state that hooks look at without a call --------------------------------- */

/* The audit's options. They are read like the allocator's own: HAKMEM_AUDIT_LEVEL and so on. */
struct hak_audit_options {
    uint32_t level;       /* 0..3 */
    uint32_t leaks;       /* 1: list the live blocks at exit */
    uint32_t summary;     /* 1: print at exit what was checked */
    uint32_t signal;      /* number of the signal that starts a check of the whole heap; 0: none */
    uint32_t unwind;      /* 1: read stacks by unwind tables instead of frame pointers */
    char log[256];        /* file that reports are written to as well; "": none */
    char symbolizer[256]; /* program that names addresses; "": the one beside the library */
};
extern HAK_HIDDEN struct hak_audit_options hak_audit_options;

/* A thread's books: the lengths that its bins must have, by the audit's own count of the blocks
 * that entered and left them. A thread has only one heap with blocks in its bins at a time. A
 * thread that seizes the heap uses these books until it gives the heap back. */
struct hak_audit_thread {
    uint32_t lengths[HAK_CLASSES];
    struct hak_audit_thread *own;        /* while the heap is seized: the seizer's own books */
    struct hak_audit_thread *threadless; /* the thread's books for a heap without a thread */
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

/* The program enters the allocator, and leaves it: the accesses in between are the allocator's, not
 * the program's. Calls may nest. Only the valgrind build has these functions. */
void hak_audit_enter(void);
void hak_audit_leave(void);
/* A large block was allocated (`zero`: all its bytes are zero), is about to be freed, or is about
 * to be resized. The last two are called before another thread can get any of its memory. */
void hak_audit_large_begun(void *user, size_t size, bool zero);
void hak_audit_large_ended(void *user);
void hak_audit_large_resizing(void *user, size_t size);
/* The pages of a large block have moved away from `user`, whose span is about to be given back. */
void hak_audit_large_left(void *user);
/* A large block has its new size, or, if the resize failed, its old one. If `old` is not `user`,
 * the block has moved, and another thread may have the memory at `old` already. */
void hak_audit_large_resized(void *old, void *user, size_t old_size, size_t size);
/* `user` is an aligned pointer inside of the live block `block`, and the program knows only `user`.
 * unaligned: `user` is freed, and `block` is an ordinary live block again. */
void hak_audit_aligned(void *block, void *user, size_t size);
void hak_audit_unaligned(void *block, void *user);
/* `user` was popped from a bin and is live now; `size` was asked for. This function and the next
 * are called only by an audit that follows blocks. */
void hak_audit_malloc(void *user, size_t size);
/* `user` is about to be freed: the header and the contents are still those of the live block. */
void hak_audit_free(void *user);
/* The first `count` blocks of the list `head` move; see enum hak_batch. */
void hak_audit_batch(enum hak_batch batch, struct hak_slab *slab, void *head, uint32_t count);
/* A refill or flush of a bin has ended. */
void hak_audit_bin(struct hak_heap *heap, unsigned bin);
void hak_audit_event(enum hak_event event, void *subject);
/* Whether the audit, or the recorder, knows the option in "NAME=value", which the allocator does
 * not know. */
bool hak_audit_option(const char *setting);
bool hak_record_option(const char *setting);
/* A live block of a bin stays where it is; its new size is `size`. */
void hak_audit_resize(void *user, size_t size);
/* The bytes at `user` that the program may use, of the `usable` that the block has there. `user` is
 * the live block `block`, or an aligned pointer inside of it. */
size_t hak_audit_usable(const void *block, const void *user, size_t usable);
/* After the message of an error of the program, which ends the process: prints what the audit knows
 * of the block at this address, live or freed. */
void hak_audit_explain(const void *block);
/* The library was loaded; the process ends. */
void hak_audit_begin(void);
void hak_audit_end(void);

/* These tell tools that do not understand C11 atomics which order the allocator's atomic operations
 * give; see the hooks. */
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

HAK_INLINE size_t hak_hook_usable(const void *block, const void *user, size_t usable) {
    return HAK_AUDIT ? hak_audit_usable(block, user, usable) : usable;
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

/* Call before an atomic operation on `word` with release order: all that this thread did so far
 * happens before ... */
HAK_INLINE void hak_hook_release(const volatile void *word) {
    if (HAK_VALGRIND) hak_valgrind_release(word);
}

/* ... all that a thread does after an atomic operation on `word` with acquire order. Call after
 * that operation. */
HAK_INLINE void hak_hook_acquire(const volatile void *word) {
    if (HAK_VALGRIND) hak_valgrind_acquire(word);
}

/* `word` is atomic: concurrent stores and loads of it are no race. Call before its first store. The
 * two hooks above tell the order of its operations; relaxed operations need neither of the two. */
HAK_INLINE void hak_hook_atomic(const volatile void *word, size_t bytes) {
    if (HAK_VALGRIND) hak_valgrind_atomic(word, bytes);
}

/* Memory that the system has just given to the allocator, and that nobody has used. */
HAK_INLINE void hak_hook_fresh(void *start, size_t bytes) {
    if (HAK_VALGRIND) hak_valgrind_fresh(start, bytes);
}

#endif
