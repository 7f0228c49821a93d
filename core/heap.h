/* The thread heap: bins, slabs and SuperSlabs of one thread.
 *
 *   hak_thread --> heap: free_capacity[256]  by header byte: blocks that a free may still push
 *                          heads[48]  TLS SLL of each class; these two are all that malloc and free touch
 *                          home       what other threads touch
 *                          classes[]  current slab and partial slabs of each class
 *                          open[]     SuperSlabs with free units
 *                          reclaimed      further heaps whose threads have ended and that this thread reclaimed
 *
 * Heaps are never freed. A heap whose thread has ended waits in a pool, with its slabs, for a new thread to
 * take it whole, or for a running thread that needs memory to reclaim it (abandoned.h). */
#ifndef HAK_HEAP_H
#define HAK_HEAP_H

#include "core/home.h"
#include "core/policy.h"
#include "core/pool_arena.h"
#include "core/slab.h"

/* ---- hand-over ----------------------------------------------------------------------------------
 *
 * Who may touch a heap follows from its state, which changes in hak_heap_set_state alone. That proves in each build that the
 * step is one of these, and a test that docs/architecture.md has the same table.
 *
 *   state     owner           in                   who may touch it            on to
 *   held      itself          a thread's hands     that thread                 own, late, pool
 *   own       itself          a thread's pointer   that thread                 held (its end), seized, orphan or lost (fork)
 *   late      itself          a thread's pointer   that thread                 held (the thread is gone), orphan or lost (fork)
 *   seized    itself          a thread's pointer   the thread that seized it   own, orphan or lost (fork)
 *   reclaimed     another heap    that heap's `reclaimed`  that heap's thread          pool
 *   pool      NULL            the pool             who holds the heaps' lock   held, reclaimed
 *   orphan    itself          heaps.orphans        who holds the heaps' lock   held
 *   lost      as it was       nothing              nobody, for ever            -
 *
 * A heap is late if nobody will tell its thread's end, for libc calls no destructor any more. Such heaps are listed, and who needs a
 * heap asks the kernel whether the thread still exists.
 *
 * A heap enters the pool only when no other names it: first those that it rules, then the heap itself. The pool proves that, in
 * each build. Orphan and lost are states of a child of fork, of heaps whose threads do not exist there; lost is also the heap of
 * a thread that has found an error. */
enum hak_heap_state {
    HAK_HEAP_HELD,
    HAK_HEAP_OWN,
    HAK_HEAP_UNTRACKED,
    HAK_HEAP_SEIZED,
    HAK_HEAP_RECLAIMED,
    HAK_HEAP_ABANDONED,
    HAK_HEAP_ORPHAN,
    HAK_HEAP_LOST,
    HAK_HEAP_STATES
};

/* ---- the heap -------------------------------------------------------------------------------- */

/* The slow part of a bin. */
struct hak_heap_class {
    struct hak_slab *current;     /* of this heap or of one that it rules */
    struct hak_slab *partial;     /* list, most recently flushed first */
    uint32_t limit;               /* blocks that the bin may hold; count = limit - free_capacity */
    uint32_t batch;               /* blocks of the next carve */
    uint32_t tick_count;          /* the bin's count at the last tick */
    uint32_t batches;             /* refills and flushes since then */
    _Atomic uint32_t count_shown; /* the bin's count after its last batch, for statistics */
    _Atomic uint32_t
        used_shown; /* sum of used over this heap's slabs of the class, for statistics */
};

struct hak_heap {
    /* Both arrays are indexed by header bytes of live blocks, without arithmetic: the part of `heads` that no such byte
     * reaches is where `free_capacity` lies, and more. */
    union {
        struct hak_block *heads[HAK_CLASS_HEADER_FIRST + HAK_CLASSES]; /* TLS SLL of each class */
        struct {
            /* Blocks that a free may still push; 0 for a full bin, and for every byte that is no live block's. */
            _Atomic uint32_t free_capacity[UINT8_MAX + 1]; /* the last that malloc and free write */
            struct hak_superslab
                *open[2];          /* SuperSlabs with free units: [0] for slabs, [1] for the pool */
            uint64_t recheck_bins; /* bins without a batch that the last tick found empty */
            uint32_t superslabs;   /* owned, open or not */
            struct hak_pool_arena arena;
            struct hak_heap *next_reclaimed; /* next heap that the same thread rules */
            struct hak_heap
                *reclaimed_cursor; /* of those the one to look at next; NULL: the first */
            struct hak_heap *
                list_next; /* neighbours in the pool, or among late heaps, under the heaps' lock; next of a fork's orphans */
            struct hak_heap *list_prev;
            struct hak_heap *all_next; /* next of all heaps that were ever made */
            enum hak_heap_state state;
            _Atomic int untracked_gone; /* number of the thread that a fork found gone */
            int untracked_process; /* that its thread is of, if nobody will tell that thread's end; or 0 */
            uint32_t round; /* last walk over the pool that has seen it; under the heaps' lock */
            _Atomic uint32_t slow_calls; /* written by its thread alone */
            uint32_t last_tick;          /* milliseconds */
            uint32_t trim_seen;          /* the last wish to trim that it followed */
            uint32_t seen_calls;         /* slow_calls, and what its thread had announced, */
            uint32_t seen_announced; /* when a seizer looked at it last; under the seizers' lock */
            bool is_touched;         /* since memory is kept: see hak_heap_touch */
            bool is_trimmed; /* a seizer has, and nothing has happened to it since; the same */
            _Atomic bool is_wanted; /* the last look found that a visit may give something back */
            _Atomic uint32_t
                batched; /* sum of free_capacity = batched + what its thread has announced */
            _Atomic(struct hak_thread *) thread; /* that may be seized from; NULL: none */
            _Atomic int thread_id;               /* of the last thread that used it, for messages */
        };
    };
    _Alignas(64) struct hak_home home; /* written by other threads: a cache line of its own */
    _Alignas(64) struct hak_heap_class classes[HAK_CLASSES];
};
_Static_assert(offsetof(struct hak_heap, thread_id) + sizeof(int) <=
                   offsetof(struct hak_heap, heads[HAK_CLASS_HEADER_FIRST]),
               "what shares memory with `heads` ends before its first entry");

/* What a thread's pointer shows before it has a heap, after it gave its heap back, and while another thread has seized it:
 * all bins empty, without free_capacity. They lie in read-only memory. */
extern HAK_HIDDEN const struct hak_heap hak_heap_none;
extern HAK_HIDDEN const struct hak_heap hak_heap_gone;
extern HAK_HIDDEN const struct hak_heap hak_heap_seized;

static inline bool hak_heap_is_real(const struct hak_heap *heap) {
    return heap != &hak_heap_none && heap != &hak_heap_gone && heap != &hak_heap_seized;
}

static inline struct hak_heap *hak_thread_heap(void) {
    return atomic_load_explicit(&HAK_THREAD.heap, memory_order_relaxed);
}

static inline void hak_thread_heap_set(const struct hak_heap *heap) {
    atomic_store_explicit(&HAK_THREAD.heap, (struct hak_heap *)(uintptr_t)heap,
                          memory_order_relaxed);
}

/* The bin's list, and its length. */
static inline struct hak_block *hak_bin_first(const struct hak_heap *heap, unsigned bin) {
    return heap->heads[HAK_CLASS_HEADER(bin)];
}

static inline uint32_t hak_bin_free_capacity(const struct hak_heap *heap, size_t header) {
    return HAK_OWN_LOAD(&heap->free_capacity[header]);
}

/* The fast paths' two uses of it, an instruction each, as hak_word_add. */
HAK_INLINE bool hak_bin_is_full(const struct hak_heap *heap, size_t header) {
#if defined(__x86_64__) && !HAK_ATOMICS_ARE_SEEN
    bool full;
    __asm__("cmpl $0, %1" : "=@cce"(full) : "m"(heap->free_capacity[header]));
    return full;
#else
    return hak_bin_free_capacity(heap, header) == 0;
#endif
}

/* The last that a call does to a heap. The kernel's word that a late heap's thread is gone orders
 * this before what the heap's next thread does, and no tool knows: they see two atomic operations. */
HAK_INLINE void hak_heap_left(struct hak_heap *heap) {
    if ((!HAK_ATOMICS_ARE_SEEN && !HAK_VALGRIND) || heap->untracked_process == 0) return;
    hak_hook_release(&heap->batched);
    atomic_store_explicit(&heap->batched, HAK_OWN_LOAD(&heap->batched), memory_order_release);
}

HAK_INLINE void hak_bin_free_capacity_add(struct hak_heap *heap, size_t header, uint32_t change) {
    hak_hook_release(&heap->free_capacity);
#if defined(__x86_64__) && !HAK_ATOMICS_ARE_SEEN
    __asm__ volatile("addl %1, %0"
                     : "+m"(heap->free_capacity[header])
                     : "ri"(change)
                     : "cc", "memory");
#else
    hak_word_add(&heap->free_capacity[header], change);
#endif
    hak_heap_left(heap);
}

static inline uint32_t hak_bin_count(const struct hak_heap *heap, unsigned bin) {
    uint32_t free_capacity = hak_bin_free_capacity(heap, HAK_CLASS_HEADER(bin));
    HAK_ASSERT(free_capacity <= heap->classes[bin].limit);
    return heap->classes[bin].limit - free_capacity;
}

static inline void hak_bin_set(struct hak_heap *heap, unsigned bin, struct hak_block *head,
                               uint32_t count, uint32_t limit) {
    HAK_ASSERT(count <= limit && (head == NULL) == (count == 0));
    HAK_OWN_STORE(&heap->batched, HAK_OWN_LOAD(&heap->batched) + limit - count -
                                      hak_bin_free_capacity(heap, HAK_CLASS_HEADER(bin)));
    heap->heads[HAK_CLASS_HEADER(bin)] = head;
    heap->classes[bin].limit = limit;
    HAK_OWN_STORE(&heap->free_capacity[HAK_CLASS_HEADER(bin)], limit - count);
}

/* Takes `block`, the first of its class's list; it is live from here on, with this header byte. The bin's free_capacity tells it last,
 * when all else is done. */
HAK_INLINE void hak_bin_pop(struct hak_heap *heap, size_t header, struct hak_block *block) {
    HAK_ASSERT(hak_bin_count(heap, (unsigned)header - HAK_CLASS_HEADER_FIRST) > 0);
    HAK_ASSERT(heap->heads[header] == block &&
               hak_header_of(block) == (header ^ HAK_HEADER_LIVE_BIT));
    heap->heads[header] = block->next;
    hak_header_flip(block);
}

HAK_INLINE void hak_bin_popped(struct hak_heap *heap, size_t header) {
    hak_bin_free_capacity_add(heap, header, +1);
}

/* Puts a live block with this header byte in front of its class's list, which has free_capacity. */
HAK_INLINE void hak_bin_push(struct hak_heap *heap, size_t header, struct hak_block *block) {
    HAK_ASSERT(hak_bin_free_capacity(heap, header) > 0 &&
               header - HAK_CLASS_HEADER_FIRST < HAK_CLASSES);
    block->next = heap->heads[header];
    atomic_signal_fence(memory_order_release); /* heap_mend follows each link */
    heap->heads[header] = block;
    if (HAK_HEADER_CLASSIDX)
        hak_header_flip(block);
    else
        hak_header_set(
            block,
            (uint8_t)(header ^ HAK_HEADER_LIVE_BIT)); /* the block's own byte was not asked */
    hak_bin_free_capacity_add(heap, header, -1u);
}

static inline struct hak_heap *hak_heap_of_home(struct hak_home *home) {
    return (struct hak_heap *)(void *)((char *)home - offsetof(struct hak_heap, home));
}

/* The heap, which is the caller's by its present state, has the next one; its owner fits to that
 * already. */
void hak_heap_set_state(struct hak_heap *heap, enum hak_heap_state next);

/* A new heap, in its creator's hands; NULL: no memory. Under the heaps' lock. */
struct hak_heap *hak_heap_create(void);

/* The heap that was made last, which leads to all others through all_next. They are never freed, so no lock is needed. */
struct hak_heap *hak_heap_newest(void);

/* Runs `visit` on each heap that was ever made. */
void hak_heap_each(void (*visit)(struct hak_heap *heap, void *context), void *context);

/* Once, before the first heap. */
void hak_heaps_begin(void);

#endif
