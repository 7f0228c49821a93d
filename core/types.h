/* Glossary, equations and the header-byte table. docs/glossary.md has all terms.
 *
 *   granule    64 KiB of address space; granule g begins at hak_range.start + g * 64 KiB
 *   span       a row of adjacent granules
 *   page map   a table with one entry of 64 bytes for each granule
 *   block      the memory that one malloc returns ("user"), with its header byte at user - 1
 *   stride     the distance in bytes between two neighbouring blocks of a slab; it serves requests
 *              up to stride - 1 bytes
 *   class      a stride with a number, 0 to 47
 *   slab       one, two or four granules that are cut into blocks of one class
 *   SuperSlab  32 units of 64 KiB, or 16; each unit is free or in a slab. One heap has the
 *              SuperSlab, or it waits in the cache
 *   heap       what one thread has: bins, slabs and SuperSlabs
 *   bin        the thread cache's singly linked list of free blocks of one class
 *   home       the part of a heap that other threads touch
 *
 * These hold for a slab at every point where its owner is not in the middle of a batch:
 *
 *   carved           <= capacity
 *   used              = carved - length(freelist)    blocks live, in any bin, or on the remote list
 *   count(remote)     = length(remote) <= used
 *   active(SuperSlab) = sum of used over its slabs
 *   count(bin)        = length(bin's list)
 *
 * and every block is in exactly one place: uncarved, freelist, remote list, one bin, or live.
 * Uncarved blocks are those at the end of the slab, and those on pages whose memory a trim gave
 * back (slab_pages.h).
 *
 * A slab's metadata is in the page map entry of its first granule. The page map lies apart from the
 * blocks, so a block that overflows cannot reach it:
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

/* The header byte of a live block. A free block has the same byte with the top bit cleared. */
enum hak_header {
    HAK_HEADER_TINY = 0xa0,      /* | class index 0..15 */
    HAK_HEADER_POOL = 0xb0,      /* | class index 0..15 */
    HAK_HEADER_MID = 0xc0,       /* | class index 0..15 */
    HAK_HEADER_LARGE = 0xd0,     /* on a span of its own, described by its page map entry */
    HAK_HEADER_ALIGNED = 0xd1,   /* aligned pointer inside a block of a size class */
    HAK_HEADER_CONTAINER = 0xd2, /* the block around a HAK_HEADER_ALIGNED pointer */
    HAK_HEADER_LIVE_BIT = 0x80
};

/* The number of a class over all tiers: header byte - 0xa0. Tiny 0..15, pool 16..31, mid 32..47. */
#define HAK_CLASSES            48u
#define HAK_TIER_CLASSES       16u
#define HAK_CLASS_HEADER_FIRST HAK_HEADER_TINY
#define HAK_CLASS_HEADER(bin)  ((uint8_t)(HAK_CLASS_HEADER_FIRST + (bin)))
#define HAK_CLASS_HEADER_FREE(bin)                                                                 \
    ((uint8_t)((HAK_CLASS_HEADER_FIRST & ~HAK_HEADER_LIVE_BIT) + (bin)))

enum hak_tier { HAK_TIER_TINY = 0, HAK_TIER_POOL = 1, HAK_TIER_MID = 2 };

/* A free block: the link lies where the user's data was; the header byte is before the link. */
struct hak_block {
    struct hak_block *next;
};

static inline uint8_t hak_header_of(const void *user) {
    return ((const uint8_t *)user)[-1];
}
static inline void hak_header_set(void *user, uint8_t header) {
    ((uint8_t *)user)[-1] = header;
}
/* Makes the header of a live block that of a free one, and back. */
static inline void hak_header_flip(void *user) {
    ((uint8_t *)user)[-1] ^= HAK_HEADER_LIVE_BIT;
}

/* What a granule is, in its page map entry. In a large block, a free span or a cached span only the
 * granules that describe it have a kind. */
enum hak_kind {
    HAK_KIND_NONE = 0,
    HAK_KIND_SLAB,      /* first granule of a slab */
    HAK_KIND_SLAB_TAIL, /* a further granule of a slab */
    HAK_KIND_LARGE,     /* the granule of a large block's header byte */
    HAK_KIND_CACHED,    /* first or last granule of a span in the cache */
    HAK_KIND_FREE_SPAN, /* first or last granule of a free span */
    HAK_KIND_HOLE,      /* first or last granule of a free span that is unmapped */
    HAK_KIND_TAKEN      /* first granule of a span in use that no other kind describes */
};

/* Where a thread is, as it tells other threads (hak_thread.slow). */
enum hak_slow {
    HAK_SLOW_NO = 0, /* outside of the allocator, or on the fast path */
    HAK_SLOW_PATH,
    HAK_SLOW_LARGE, /* at work on large blocks: the thread's heap is whole */
    HAK_SLOW_WAITS  /* the thread waits for its heap, which is seized */
};

/* The part of a thread that malloc and free touch first. Each malloc and free first announces here
 * by how much it will change the free capacity of a bin; that change is its last write to the heap.
 * So the thread is at work on its bins while an announced change is still missing, or while `slow`
 * says so. At other times another thread may seize the heap (seize.h). */
struct hak_thread {
    _Atomic(struct hak_heap *) heap;
    _Atomic uint32_t announced; /* mallocs - frees */
    _Atomic uint32_t slow;      /* enum hak_slow */
    uint32_t failed; /* errors that the thread has reported; above 0 it has no heap (abort.h) */
    void *books;     /* for a variant: verify/ */
    struct hak_heap
        *seized_heap; /* heap of another thread that this thread has seized; NULL: none */
    /* SuperSlabs that the visited heap gave up. They are released when its thread has it again. */
    struct hak_superslab *deferred;
    uint32_t forks; /* forks of this thread that are not over; above 0 nobody may seize its heap */
};
extern HAK_HIDDEN _Thread_local struct hak_thread hak_thread
    __attribute__((tls_model("initial-exec")));
#ifndef HAK_THREAD /* of the calling thread; a variant may have virtual threads */
#define HAK_THREAD hak_thread
#endif

/* Reads a word that no other thread writes at the same time: a plain load suffices; the explorer
 * need not schedule here. */
#define HAK_OWN_LOAD(word) (*(const uint32_t *)(uintptr_t)(word))
/* Writes such a word at a time when no other thread relies on its value: a relaxed store suffices;
 * the explorer need not schedule here. */
#define HAK_OWN_STORE(word, value)                                                                 \
    __atomic_store_n((uint32_t *)(uintptr_t)(word), (value), __ATOMIC_RELAXED)

/* Reads a word that another thread may write at the same time. The value is only a hint; the
 * explorer need not schedule here. */
#define HAK_HINT_LOAD(word) __atomic_load_n((const uint32_t *)(uintptr_t)(word), __ATOMIC_RELAXED)

/* Ends the program with one line on stderr. For states that only a bug in HAKMEM or a wild write of
 * the program can produce. */
_Noreturn void hak_fail(const char *what, const char *file, int line);

/* In every variant: the condition costs little, and what it guards is worth more. */
#define HAK_CHECK(cond) ((void)(HAK_LIKELY(cond) || (hak_fail(#cond, __FILE__, __LINE__), 0)))
/* In debug and audit variants only. */
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
