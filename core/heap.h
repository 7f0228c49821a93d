/* The thread heap: bins, slabs and SuperSlabs of one thread.
 *
 *   hak_thread --> heap:  free_capacity[256]  blocks that a bin may still take, by header byte
 *                         heads[48]           first block of each bin; malloc and free touch only
 *                                             `free_capacity` and `heads`
 *                         home                what other threads touch
 *                         classes[48]         current slab and partial slabs of each class
 *                         open[2]             SuperSlabs with free units
 *                         spare               a SuperSlab that became empty, for the next growth
 *                         next_reclaimed      list of the abandoned heaps that this thread has
 *                                             reclaimed
 *
 * Heaps are never freed. When a thread ends, its heap is abandoned and waits, with its slabs, until
 * a new thread takes it as its own, or a running thread that needs memory reclaims it
 * (abandoned.h). */
#ifndef HAK_HEAP_H
#define HAK_HEAP_H

#include "core/home.h"
#include "core/policy.h"
#include "core/pool_arena.h"
#include "core/slab.h"
#include "core/words.h"

/* ---- hand-over ----------------------------------------------------------------------------------
 *
 * The state of a heap says who may touch it. hak_heap_set_state proves in each build that a change
 * of the state is in this table; a test proves that docs/architecture.md has the same table. Only
 * two places set the state directly: hak_seize_give_up, after an error, and the rebuilding of the
 * abandoned heaps in a child of fork.
 *
 *   state      owner         where it is         who may touch it       next states
 *   held       itself        with one thread     that thread            own, untracked, abandoned
 *   own        itself        a thread's pointer  that thread            held, seized, orphan, lost
 *   untracked  itself        a thread's pointer  that thread            held, orphan, lost
 *   seized     itself        hidden from thread  its seizer             own, orphan, lost
 *   reclaimed  another heap  that heap's list    who may touch that     abandoned
 *   abandoned  none          abandoned heaps     under the heaps' lock  held, reclaimed
 *   orphan     itself        orphans             under the heaps' lock  held
 *   lost       as it was     nowhere             nobody, for ever       -
 *
 * held: one thread has the heap for itself. The thread begins, ends, has borrowed the heap for one
 * operation, looks after it, or could not register for seizing. An own heap becomes held when its
 * thread ends; an untracked heap, when its thread is found gone.
 *
 * untracked: nobody will tell the end of the heap's thread, because libc calls no destructor any
 * more, or had no memory for the key. The heap is listed. A thread that needs a heap asks the
 * kernel whether the listed heap's thread still exists.
 *
 * abandoned: such a heap owns no other heap, because its next thread would work on the other heap
 * without a lock. So a thread that ends abandons the heaps that it has reclaimed first, and its own
 * heap last. hak_abandoned_put proves in each build that the heap owns none.
 *
 * orphan, lost: in a child of fork, heaps whose threads do not exist there. lost: also the heap of
 * a thread that has found an error, and the heap that it had seized at that time. */
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

/* What slow paths know of a bin and its class. */
struct hak_heap_class {
    struct hak_slab *current;     /* slab of this heap or of one that it owns; NULL: none */
    struct hak_slab *partial;     /* list of partial slabs, most recently flushed first */
    uint32_t limit;               /* blocks that the bin may hold; count = limit - free_capacity */
    uint32_t carve_next;          /* blocks of the next carve */
    uint32_t tick_count;          /* the bin's count at the last tick */
    uint32_t batches;             /* refills and flushes since the last tick */
    _Atomic uint32_t count_shown; /* the bin's count after its last batch, for statistics */
    _Atomic uint32_t used_shown; /* sum of `used` over this heap's slabs of the class: statistics */
};

struct hak_heap {
    /* The header byte of a live block is the index of both arrays, without arithmetic. No such byte
     * is below HAK_CLASS_HEADER_FIRST: `free_capacity` and other fields lie in the part of `heads`
     * below that index. */
    union {
        struct hak_block *heads[HAK_CLASS_HEADER_FIRST + HAK_CLASSES]; /* first block of each bin */
        struct {
            /* Blocks that the bin may still take; 0 for a full bin, and for every byte that is not
             * the header of a live block with a class. malloc and free write this last. */
            _Atomic uint32_t free_capacity[UINT8_MAX + 1];
            /* Lists of SuperSlabs with free units: [0] for the tiers tiny and mid, [1] for pool. */
            struct hak_superslab *open[2];
            struct hak_superslab *spare; /* without a slab, and in no list; NULL: there is none */
            /* A bit for each bin that the last tick found empty and without a batch. Such bins are
             * looked at again before the next tick. */
            uint64_t recheck_bins;
            uint32_t superslabs; /* number of its SuperSlabs, with free units or without */
            struct hak_pool_arena arena;
            struct hak_heap *next_reclaimed; /* links the heaps that one thread has reclaimed */
            /* The reclaimed heap where the next search for a slab begins; NULL: the first one. */
            struct hak_heap *reclaimed_cursor;
            /* Neighbours among the abandoned or untracked heaps, under the heaps' lock; list_next
             * also links the orphans. */
            struct hak_heap *list_next;
            struct hak_heap *list_prev;
            struct hak_heap *all_next; /* links all heaps that were ever made */
            enum hak_heap_state state;
            _Atomic int untracked_gone; /* number of its thread, if a fork has found it gone */
            /* Number of the process of an untracked heap's thread; 0 for other heaps, and if the
             * thread has found an error. */
            int untracked_process;
            uint32_t walk; /* the last walk (hak_abandoned_walk) that took it; heaps' lock */
            _Atomic uint32_t slow_calls; /* slow paths so far; written by its thread alone */
            uint32_t last_tick;          /* milliseconds */
            uint32_t trim_seen;          /* number of the last trim request that it followed */
            /* slow_calls, and the thread's `announced`, when a seizer last looked at the heap;
             * under the seizing lock. */
            uint32_t seen_calls;
            uint32_t seen_announced;
            bool is_populated; /* hak_heap_populate was done since memory is kept */
            /* A seizer has trimmed the heap and nothing has happened to it since; under the seizing
             * lock. */
            bool is_trimmed;
            _Atomic bool
                is_worth_seizing; /* the last look found that a visit may give memory back */
            /* sum of free_capacity = batched + what its thread has announced (announced.h) */
            _Atomic uint32_t batched;
            _Atomic(struct hak_thread *) thread; /* that it may be seized from; NULL: none */
            _Atomic int thread_id; /* number of the last thread that used it; for messages */
        };
    };
    _Alignas(64) struct hak_home home; /* written by other threads: a cache line of its own */
    _Alignas(64) struct hak_heap_class classes[HAK_CLASSES];
};
_Static_assert(offsetof(struct hak_heap, thread_id) + sizeof(int) <=
                   offsetof(struct hak_heap, heads[HAK_CLASS_HEADER_FIRST]),
               "what shares memory with `heads` ends before its first entry");

/* What a thread's pointer shows before the thread has a heap, after it gave its heap back, and
 * while another thread has seized its heap. All bins are empty and have no free capacity, so each
 * malloc and free takes the slow path. They lie in read-only memory. */
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

/* The first block of a bin; NULL: the bin is empty. */
static inline struct hak_block *hak_bin_first(const struct hak_heap *heap, unsigned bin) {
    return heap->heads[HAK_CLASS_HEADER(bin)];
}

/* The free capacity of the bin for this header byte. No other thread may write it meanwhile. */
static inline uint32_t hak_bin_free_capacity(const struct hak_heap *heap, size_t header) {
    return HAK_OWN_LOAD(&heap->free_capacity[header]);
}

/* Each call does this last to a heap. The kernel's answer that the thread of an untracked heap is
 * gone orders what that thread did before what the heap's next thread does. Tools do not know this,
 * so they are shown a release here and an acquire in retire.c. */
HAK_INLINE void hak_heap_publish_untracked(struct hak_heap *heap) {
    if ((!HAK_ATOMICS_ARE_SEEN && !HAK_VALGRIND) || heap->untracked_process == 0) return;
    hak_hook_release(&heap->batched);
    atomic_store_explicit(&heap->batched, HAK_OWN_LOAD(&heap->batched), memory_order_release);
}

/* All that the fast paths do with the free capacity of a bin: a test, and as their last step on the
 * heap an addition. Each is one instruction, as in words.h; with an element of the array as its
 * operand it needs no register for the address. */
#if defined(__x86_64__) && !HAK_ATOMICS_ARE_SEEN

HAK_INLINE bool hak_bin_is_full(const struct hak_heap *heap, size_t header) {
    bool full;
    __asm__("cmpl $0, %1" : "=@cce"(full) : "m"(heap->free_capacity[header]));
    return full;
}

HAK_INLINE void hak_bin_free_capacity_add(struct hak_heap *heap, size_t header, uint32_t change) {
    hak_hook_release(&heap->free_capacity);
    __asm__ volatile("addl %1, %0"
                     : "+m"(heap->free_capacity[header])
                     : "ri"(change)
                     : "cc", "memory");
    hak_heap_publish_untracked(heap);
}

#else

HAK_INLINE bool hak_bin_is_full(const struct hak_heap *heap, size_t header) {
    return hak_bin_free_capacity(heap, header) == 0;
}

HAK_INLINE void hak_bin_free_capacity_add(struct hak_heap *heap, size_t header, uint32_t change) {
    hak_hook_release(&heap->free_capacity);
    hak_word_add(&heap->free_capacity[header], change);
    hak_heap_publish_untracked(heap);
}

#endif

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

/* Takes `block`, the first block of its bin. It is live from here on, and has the header byte
 * `header`. The caller calls hak_bin_popped when all else is done: the free capacity says that the
 * malloc is over (announced.h). */
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

/* Puts a live block with the header byte `header` in front of its bin, which has free capacity. */
HAK_INLINE void hak_bin_push(struct hak_heap *heap, size_t header, struct hak_block *block) {
    HAK_ASSERT(hak_bin_free_capacity(heap, header) > 0 &&
               header - HAK_CLASS_HEADER_FIRST < HAK_CLASSES);
    block->next = heap->heads[header];
    /* The link is written before the head: heap_mend, in a child of fork, follows each link. */
    atomic_signal_fence(memory_order_release);
    heap->heads[header] = block;
    if (HAK_HEADER_CLASSIDX)
        hak_header_flip(block);
    else /* the class comes from the slab, so the block's own byte need not be `header` */
        hak_header_set(block, (uint8_t)(header ^ HAK_HEADER_LIVE_BIT));
    hak_bin_free_capacity_add(heap, header, -1u);
}

static inline struct hak_heap *hak_heap_of_home(struct hak_home *home) {
    return (struct hak_heap *)(void *)((char *)home - offsetof(struct hak_heap, home));
}

/* Moves a heap to the state `next`. By the heap's present state the caller may touch it. */
void hak_heap_set_state(struct hak_heap *heap, enum hak_heap_state next);

/* A new heap, in the state held; NULL: no memory. Under the heaps' lock. */
struct hak_heap *hak_heap_create(void);

/* The heap that was made last; all_next leads from it to all others. NULL: there is none. Any
 * thread; no lock is needed, because heaps are never freed. */
struct hak_heap *hak_heap_newest(void);

/* Calls `visit` for each heap that was ever made. Takes no lock. */
void hak_heap_each(void (*visit)(struct hak_heap *heap, void *context), void *context);

/* Once, before the first heap. */
void hak_heaps_init(void);

#endif
