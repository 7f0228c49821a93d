/* Glossary, equations and the header-byte table.
 *
 *   granule   64 KiB of address space; granule g begins at hak_range.start + g * 64 KiB
 *   block     what one malloc returns ("user"), with its header byte at user - 1
 *   stride    distance of two blocks of one class; it serves requests up to stride - 1 bytes
 *   slab      a span of granules cut into blocks of one class
 *   SuperSlab 32 units of 64 KiB, or 16, each free or in a slab; owned by one heap
 *   home      the part of a heap that other threads touch
 *   bin       a heap's TLS SLL of one class: the fast path
 *
 * At every point where a slab's owner is outside a batch (DESIGN section 4):
 *
 *   carved           <= capacity
 *   used              = carved - length(freelist)    blocks live, in any TLS SLL, or on the remote list
 *   count(remote)     = length(remote) <= used
 *   active(SuperSlab) = sum of used over its slabs
 *   count(bin)        = length(bin's list)
 *
 * and every block is in exactly one place: uncarved, freelist, remote list, one TLS SLL, or live.
 *
 * A slab's page map entry, 64 bytes, out of line and so out of reach of an overflowing block:
 *
 *   page map      [g0][g1][g2]...        one page map entry a granule
 *                        |
 *   range           [ g1: 15 unused bytes | h | user ... | h | user ... ]
 *                                           ^ header byte, user is 16-byte aligned
 */
#ifndef HAK_TYPES_H
#define HAK_TYPES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config.h"

/* The header byte. A freed block has the same byte with the top bit cleared. */
enum hak_header {
    HAK_HEADER_TINY = 0xa0,      /* | class index 0..15 */
    HAK_HEADER_POOL = 0xb0,      /* | class index 0..15 */
    HAK_HEADER_MID = 0xc0,       /* | class index 0..15 */
    HAK_HEADER_LARGE = 0xd0,     /* own mapping, described by its page map entry */
    HAK_HEADER_ALIGNED = 0xd1,   /* aligned pointer inside a block of a bin */
    HAK_HEADER_CONTAINER = 0xd2, /* the block around a HAK_HEADER_ALIGNED pointer */
    HAK_HEADER_LIVE_BIT = 0x80
};

/* Number of a class over all tiers: header byte - 0xa0. Tiny 0..15, pool 16..31, mid 32..47. */
#define HAK_CLASSES            48u
#define HAK_TIER_CLASSES       16u
#define HAK_CLASS_HEADER_FIRST HAK_HEADER_TINY
#define HAK_CLASS_HEADER(bin)  ((uint8_t)(HAK_CLASS_HEADER_FIRST + (bin)))
#define HAK_CLASS_HEADER_FREE(bin)                                                                 \
    ((uint8_t)((HAK_CLASS_HEADER_FIRST & ~HAK_HEADER_LIVE_BIT) + (bin)))

enum hak_tier { HAK_TIER_TINY = 0, HAK_TIER_POOL = 1, HAK_TIER_MID = 2 };

/* A free block: the link lies where the user's data was, the header byte is before it. */
struct hak_block {
    struct hak_block *next;
};

static inline uint8_t hak_header_of(const void *user) {
    return ((const uint8_t *)user)[-1];
}
static inline void hak_header_set(void *user, uint8_t header) {
    ((uint8_t *)user)[-1] = header;
}
/* Live to freed, freed to live. */
static inline void hak_header_flip(void *user) {
    ((uint8_t *)user)[-1] ^= HAK_HEADER_LIVE_BIT;
}

/* What a granule is, in its page map entry. Of a large block, a free or a cached span only the granules that describe it have a kind. */
enum hak_kind {
    HAK_KIND_NONE = 0,
    HAK_KIND_SLAB,      /* first granule of a slab */
    HAK_KIND_SLAB_TAIL, /* a further granule of a slab */
    HAK_KIND_LARGE,     /* the granule of a large block's header byte */
    HAK_KIND_CACHED,    /* first or last granule of freed large blocks in the BigCache */
    HAK_KIND_FREE_SPAN, /* first or last granule of a span that nobody uses */
    HAK_KIND_HOLE,      /* the same, unmapped */
    HAK_KIND_TAKEN      /* first granule of a span that somebody uses and nothing else describes */
};

enum hak_slow {
    HAK_SLOW_NO = 0, /* outside of the allocator, or on a fast path */
    HAK_SLOW_PATH,
    HAK_SLOW_LARGE, /* at work on large blocks: its heap is whole */
    HAK_SLOW_WAITS  /* for its heap, which is seized */
};

/* What malloc and free touch of their thread before all else. They announce here how they will change the room of a bin: so
 * the thread is at work on its heap's bins just when that has not happened yet, or when `slow` says so. While it is not,
 * another thread may seize the heap (seize.h). */
struct hak_thread {
    _Atomic(struct hak_heap *) heap;
    _Atomic uint32_t announced; /* mallocs - frees */
    _Atomic uint32_t slow;      /* enum hak_slow */
    uint32_t failed;            /* errors that it has reported: it has no heap then (abort.h) */
    void *books;                /* of a variant's own: verify/ */
    struct hak_heap *visited;   /* another thread's, which this one has seized; NULL: none */
    struct hak_superslab
        *leaving;   /* what that gave up, to be released when the other thread has its heap again */
    uint32_t forks; /* nobody may seize the heap until so many forks are over */
};
extern HAK_HIDDEN _Thread_local struct hak_thread hak_thread
    __attribute__((tls_model("initial-exec")));
#ifndef HAK_THREAD /* the calling thread's; a variant may have threads of its own */
#define HAK_THREAD hak_thread
#endif

/* A word that no other thread writes meanwhile: what is read there is no news, and no step. */
#define HAK_OWN_LOAD(word) (*(const uint32_t *)(uintptr_t)(word))
/* Nor is what is written there while other threads keep away from it. */
#define HAK_OWN_STORE(word, value)                                                                 \
    __atomic_store_n((uint32_t *)(uintptr_t)(word), (value), __ATOMIC_RELAXED)

/* A word that another thread may write just now: no more than a hint, and no step. */
#define HAK_HINT_LOAD(word) __atomic_load_n((const uint32_t *)(uintptr_t)(word), __ATOMIC_RELAXED)

/* Such a word changes, after all that this thread wrote before; the compiler moves nothing over that, either way. One
 * instruction, where it would take more for an atomic variable; where tools must see each access, it may not be. */
HAK_INLINE void hak_word_add(_Atomic uint32_t *word, uint32_t change) {
#if defined(__x86_64__) && !HAK_ATOMICS_ARE_SEEN
    __asm__ volatile("addl %1, %0" : "+m"(*word) : "ri"(change) : "cc", "memory");
#else
    atomic_store_explicit(word, HAK_OWN_LOAD(word) + change, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* Ends the program with one line; for states that only a bug in HAKMEM or a wild write can produce. */
_Noreturn void hak_fail(const char *what, const char *file, int line);

/* Kept in every variant: the condition is cheap and what it guards is not. */
#define HAK_CHECK(cond) ((void)(HAK_LIKELY(cond) || (hak_fail(#cond, __FILE__, __LINE__), 0)))
/* Debug and audit variants only. */
#define HAK_ASSERT(cond)                                                                           \
    ((void)((!HAK_DEBUG && !HAK_AUDIT) || HAK_LIKELY(cond) ||                                      \
            (hak_fail(#cond, __FILE__, __LINE__), 0)))

static inline size_t hak_round_up(size_t n, size_t power_of_two) {
    return (n + power_of_two - 1) & ~(power_of_two - 1);
}

static inline uint32_t hak_min_u32(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static inline bool hak_is_power_of_two(size_t n) {
    return n != 0 && (n & (n - 1)) == 0;
}

static inline unsigned hak_log2(size_t n) {
    return 63u - (unsigned)__builtin_clzll(n);
}

#endif
