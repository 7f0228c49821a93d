#include "verify/audit_block.h"

#include <string.h>

#include "core/large.h"
#include "core/slab_pages.h"
#include "verify/audit_site.h"
#include "verify/audit_valgrind.h"

#define CANARY    0xcb
#define FREE_FILL 0xdf
/* A freed block is filled and checked whole if it is small, otherwise only at both ends. */
#define ENDS_BYTES ((size_t)64)
#define LINK_BYTES ((size_t)8) /* at the beginning of a free block */

/* GRANULE_RECORDS for each granule, the most blocks that a granule can hold. */
static _Atomic(struct hak_audit_block *) records;

#define GRANULE_RECORDS (HAK_GRANULE / 16)

bool hak_audit_blocks_open(void) {
    size_t bytes = (size_t)hak_range.granules * GRANULE_RECORDS * sizeof(struct hak_audit_block);
    void *start = hak_audit_map(bytes);
    if (start == NULL) return false;
    atomic_store_explicit(&records, start, memory_order_release);
    return true;
}

struct hak_audit_block *hak_audit_records_of(const struct hak_slab *slab) {
    struct hak_audit_block *first = atomic_load_explicit(&records, memory_order_acquire);
    if (HAK_UNLIKELY(hak_audit_options.level < 2 || first == NULL)) return NULL;
    return &first[hak_slab_first_granule(slab) * GRANULE_RECORDS];
}

HAK_INLINE struct hak_audit_block *record_of(const struct hak_slab *slab, const void *block) {
    struct hak_audit_block *first = hak_audit_records_of(slab);
    if (HAK_UNLIKELY(first == NULL)) return NULL;
    struct hak_places places = hak_slab_places(slab);
    uint64_t index = hak_places_index(&places, block);
    return HAK_LIKELY(index < places.capacity) ? &first[index] : NULL;
}

struct hak_audit_block *hak_audit_block_of(const struct hak_slab *slab, const void *block) {
    return record_of(slab, block);
}

/* The first record of the header byte's granule: no slab uses it while the large block lives. */
struct hak_audit_block *hak_audit_large_of(const void *user) {
    struct hak_audit_block *first = atomic_load_explicit(&records, memory_order_acquire);
    if (HAK_UNLIKELY(hak_audit_options.level < 2 || first == NULL)) return NULL;
    return &first[hak_granule_of((const char *)user - 1) * GRANULE_RECORDS];
}

/* AddressSanitizer's functions, declared here because its header would be needed by every build. */
void __asan_poison_memory_region(void const volatile *start, size_t bytes);
void __asan_unpoison_memory_region(void const volatile *start, size_t bytes);

/* Poisons a block's bytes from `from` on, but not the last 8, which end with the next block's
 * header: the sanitizer cannot poison the beginning of 8 aligned bytes and leave the end
 * accessible. The caller leaves out the link in the first 8 bytes of a free block. */
static void poison(void *block, size_t from, size_t room) {
    size_t until = room + 1 - 8;
    if (HAK_ASAN && from < until) __asan_poison_memory_region((char *)block + from, until - from);
}

static void unpoison(void *block, size_t bytes) {
    if (HAK_ASAN) __asan_unpoison_memory_region(block, bytes);
}

const char *hak_audit_state_name(unsigned state) {
    static const char *const names[] = {"uncarved", "in its slab", "on a remote list",
                                        "in a thread's list", "live"};
    return state < sizeof names / sizeof names[0] ? names[state] : "broken";
}

/* 16 bits that stand for the thread whose bins the caller works on. They are taken from the address
 * of its books, because its heap pointer is hidden while the heap is seized. */
static uint16_t thread_mark(void) {
    return (uint16_t)((uint64_t)(uintptr_t)HAK_THREAD.books * 0x9e3779b97f4a7c15u >> 48);
}

static void expect(const struct hak_audit_block *record, enum hak_audit_state state,
                   const char *what, const struct hak_slab *slab, const void *block) {
    if (HAK_UNLIKELY(record->state != state))
        hak_audit_report(what, record->state, state, slab, block);
}

void hak_audit_block_moved(enum hak_batch batch, struct hak_audit_block *record,
                           const struct hak_slab *slab, const struct hak_block *block) {
    switch (batch) {
    case HAK_BATCH_TAKE:
        expect(record, HAK_AUDIT_IN_SLAB, "state of a block taken from the freelist", slab, block);
        record->state = HAK_AUDIT_IN_BIN;
        record->thread = thread_mark();
        break;
    case HAK_BATCH_CARVE:
        expect(record, HAK_AUDIT_UNCARVED, "state of a carved block", slab, block);
        *record = (struct hak_audit_block){.state = HAK_AUDIT_IN_BIN, .thread = thread_mark()};
        break;
    case HAK_BATCH_PUT:
        expect(record, HAK_AUDIT_IN_BIN, "state of a flushed block", slab, block);
        record->state = HAK_AUDIT_IN_SLAB;
        break;
    case HAK_BATCH_SEND:
        expect(record, HAK_AUDIT_IN_BIN, "state of a block sent home", slab, block);
        record->state = HAK_AUDIT_REMOTE;
        break;
    case HAK_BATCH_COLLECT:
        expect(record, HAK_AUDIT_REMOTE, "state of a collected block", slab, block);
        record->state = HAK_AUDIT_IN_SLAB;
        break;
    case HAK_BATCH_RESET:
        expect(record, HAK_AUDIT_REMOTE, "state of a block of a reset slab", slab, block);
        break;
    case HAK_BATCH_UNCARVE:
        expect(record, HAK_AUDIT_IN_SLAB, "state of an uncarved block", slab, block);
        record->state = HAK_AUDIT_UNCARVED;
        record->filled = 0;
        unpoison((void *)(uintptr_t)block, hak_classes[slab->class].stride - 1);
        break;
    case HAK_BATCH_RECARVE:
        expect(record, HAK_AUDIT_UNCARVED, "state of a block carved anew", slab, block);
        record->state = HAK_AUDIT_IN_SLAB;
        poison((void *)(uintptr_t)block, LINK_BYTES, hak_classes[slab->class].stride - 1);
        break;
    }
}

void hak_audit_block_listed(const struct hak_audit_block *record, const struct hak_slab *slab,
                            const struct hak_block *block) {
    expect(record, HAK_AUDIT_IN_BIN, "state of a listed block", slab, block);
}

void hak_audit_blocks_reset(const struct hak_slab *slab) {
    unpoison((void *)hak_slab_start(slab), (size_t)hak_slab_granules(slab) << HAK_GRANULE_SHIFT);
    /* Only carved blocks have records to reset. A fuzzer's slabs mostly have few of them. */
    const uint32_t end = hak_slab_carved_end(slab);
    for (uint32_t i = 0; i < end; i++) {
        struct hak_audit_block *record = record_of(slab, hak_slab_block(slab, i));
        if (record == NULL) return;
        if (HAK_UNLIKELY(record->state == HAK_AUDIT_LIVE || record->state == HAK_AUDIT_IN_BIN))
            hak_audit_report("a slab that is given up has no blocks in use", record->state,
                             HAK_AUDIT_UNCARVED, slab, hak_slab_block(slab, i));
        record->state = HAK_AUDIT_UNCARVED;
        record->filled = 0;
    }
}

/* ---- contents -------------------------------------------------------------------------------- */

static size_t room_of(const struct hak_slab *slab) {
    return hak_classes[slab->class].stride - 1;
}

/* memset(3) may be wrapped. */
#if defined(__x86_64__)
#define BYTES_SET(at, value, count)                                                                \
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(count) : "a"(value) : "memory")
#else
#define BYTES_SET(at, value, count)                                                                \
    while (count-- > 0)                                                                            \
    *(volatile char *)at++ = (char)value
#endif

/* Sets bytes one by one, where they are few or the case is rare. */
HAK_NOINLINE static void bytes_set(void *block, size_t from, size_t until, uint8_t value) {
    char *at = (char *)block + from;
    size_t count = until - from;
    BYTES_SET(at, value, count);
}

/* The offset of the first byte that differs from `value`; `until` if there is none. */
HAK_NOINLINE static size_t bytes_differ(const void *block, size_t from, size_t until,
                                        uint8_t value) {
    const uint8_t *bytes = block;
    while (from < until && bytes[from] == value)
        from++;
    return from;
}

/* All other bytes are written and checked in vectors, or in windows of four vectors, whatever the
 * requested size is. This code runs on every malloc and free, and the processor would mispredict
 * the end of a loop whose length differs each time. Vectors of a small block lie at whole multiples
 * of VECTOR_BYTES from the block's end. Two of them are then either the same bytes or disjoint, so
 * no load has to combine bytes of two stores. */
#define VECTOR_BYTES ((size_t)16)
#define FIRST_VECTOR (VECTOR_BYTES - 1) /* offset; a block's end is a multiple of 16, less one */
#define SMALL_ROOM                                                                                 \
    (FIRST_VECTOR + 4 * VECTOR_BYTES) /* up to here four vectors cover all from FIRST_VECTOR on */
typedef uint8_t vector __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t vector_words __attribute__((vector_size(16)));
typedef uint64_t word __attribute__((aligned(1), may_alias));
_Static_assert(ENDS_BYTES == 4 * sizeof(vector), "a window is four vectors");
_Static_assert(LINK_BYTES + sizeof(word) > FIRST_VECTOR,
               "a word has what is before the first vector");

#define WORD_OF(value) ((value)*0x0101010101010101u)

/* 0 below ENDS_BYTES, 0xff from there on: read at ENDS_BYTES - n, this is the mask that keeps the
 * bytes of a window from its byte n on. */
static const uint8_t keep_from[2 * ENDS_BYTES] = {[ENDS_BYTES... 2 * ENDS_BYTES - 1] = 0xff};

HAK_INLINE void window_set(void *block, size_t at, uint8_t value) {
    vector *to = (vector *)((char *)block + at);
    to[0] = to[1] = to[2] = to[3] = (vector){0} + value;
}

/* Sets the bytes of the window at `at` from `from` on; `from` lies in the window. */
HAK_INLINE void window_set_from(void *block, size_t at, size_t from, uint8_t value) {
    vector *to = (vector *)((char *)block + at);
    const vector *keep = (const vector *)&keep_from[ENDS_BYTES - (from - at)];
    to[0] ^= (to[0] ^ value) & keep[0];
    to[1] ^= (to[1] ^ value) & keep[1];
    to[2] ^= (to[2] ^ value) & keep[2];
    to[3] ^= (to[3] ^ value) & keep[3];
}

HAK_INLINE bool all_zero(vector bits) {
    vector_words words = (vector_words)bits;
    return (words[0] | words[1]) == 0;
}

HAK_INLINE bool window_is(const void *block, size_t at, uint8_t value) {
    const vector *bytes = (const vector *)((const char *)block + at);
    return all_zero((bytes[0] ^ value) | (bytes[1] ^ value) | (bytes[2] ^ value) |
                    (bytes[3] ^ value));
}

/* True if all bytes of the window from `from` on are `value`; `from` lies in the window. */
HAK_INLINE bool window_is_from(const void *block, size_t at, size_t from, uint8_t value) {
    const vector *bytes = (const vector *)((const char *)block + at);
    const vector *keep = (const vector *)&keep_from[ENDS_BYTES - (from - at)];
    return all_zero(((bytes[0] ^ value) & keep[0]) | ((bytes[1] ^ value) & keep[1]) |
                    ((bytes[2] ^ value) & keep[2]) | ((bytes[3] ^ value) & keep[3]));
}

/* ---- freed memory: filled between the link and the end, or at both ends of that part */

static word *word_behind_link(const void *block) {
    return (word *)((uintptr_t)block + LINK_BYTES);
}

/* The vector with `i` others behind it, or the first one if the block has fewer vectors. */
static vector *small_vector(const void *block, size_t room, size_t i) {
    size_t behind = (i + 1) * VECTOR_BYTES;
    return (vector *)((uintptr_t)block +
                      (room > FIRST_VECTOR + behind ? room - behind : FIRST_VECTOR));
}

HAK_INLINE void small_fill(void *block, size_t room) {
    vector fill = (vector){0} + FREE_FILL;
    *small_vector(block, room, 0) = *small_vector(block, room, 1) = *small_vector(block, room, 2) =
        *small_vector(block, room, 3) = fill;
}

HAK_INLINE bool small_is_filled(const void *block, size_t room) {
    return all_zero(
        (*small_vector(block, room, 0) ^ FREE_FILL) | (*small_vector(block, room, 1) ^ FREE_FILL) |
        (*small_vector(block, room, 2) ^ FREE_FILL) | (*small_vector(block, room, 3) ^ FREE_FILL));
}

static void free_fill(void *block, size_t room) {
    unpoison(block, LINK_BYTES); /* poisoned if the block was smaller than a link */
    poison(block, LINK_BYTES, room);
    if (HAK_ASAN) return;
    if (HAK_UNLIKELY(room == FIRST_VECTOR)) {
        bytes_set(block, LINK_BYTES, room, FREE_FILL);
        return;
    }
    *word_behind_link(block) = WORD_OF(FREE_FILL);
    if (room <= SMALL_ROOM) {
        small_fill(block, room);
    } else {
        window_set(block, FIRST_VECTOR, FREE_FILL);
        window_set(block, room - ENDS_BYTES, FREE_FILL);
    }
}

HAK_COLD static void free_fill_broken(const struct hak_slab *slab, const void *block, size_t room) {
    size_t at = bytes_differ(block, LINK_BYTES, room < SMALL_ROOM ? room : SMALL_ROOM, FREE_FILL);
    if (at == SMALL_ROOM) at = bytes_differ(block, room - ENDS_BYTES, room, FREE_FILL);
    hak_audit_report("a freed block is not written to (offset of the byte, length)", at, room, slab,
                     block);
}

HAK_INLINE bool is_filled(const void *block, size_t room) {
    if (HAK_UNLIKELY(room == FIRST_VECTOR))
        return bytes_differ(block, LINK_BYTES, room, FREE_FILL) == room;
    if (HAK_UNLIKELY(*word_behind_link(block) != WORD_OF(FREE_FILL))) return false;
    if (room <= SMALL_ROOM) return small_is_filled(block, room);
    return window_is(block, FIRST_VECTOR, FREE_FILL) &&
           window_is(block, room - ENDS_BYTES, FREE_FILL);
}

static void free_fill_check(const struct hak_slab *slab, const void *block, size_t room) {
    if (HAK_UNLIKELY(!is_filled(block, room))) free_fill_broken(slab, block, room);
}

/* ---- the canary: up to ENDS_BYTES bytes behind the requested size */

/* True if a small block's canary lies in the last vector. It does not if the block was chosen for a
 * larger size than it has now. */
HAK_INLINE bool canary_is_short(size_t size, size_t room) {
    return HAK_LIKELY(room - size <= VECTOR_BYTES) && HAK_LIKELY(room != FIRST_VECTOR);
}

HAK_INLINE const vector *canary_keep(size_t size, size_t room) {
    return (const vector *)&keep_from[ENDS_BYTES - VECTOR_BYTES + (room - size)];
}

/* The offset of the window that has the canary. The window begins at the requested size, or
 * earlier, so that it ends at the block's end. */
static size_t canary_window(size_t size, size_t room) {
    return room - size < ENDS_BYTES ? room - ENDS_BYTES : size;
}

/* Proves that the block that the allocator chose is large enough. */
static void fits_check(const struct hak_slab *slab, const void *block, size_t size, size_t room) {
    if (HAK_UNLIKELY(size > room))
        hak_audit_report("the requested size fits the block", size, room, slab, block);
}

HAK_INLINE void canary_set(void *block, size_t size, size_t room) {
    if (HAK_ASAN) {
        poison(block, size, room);
    } else if (room > SMALL_ROOM) {
        window_set_from(block, canary_window(size, room), size, CANARY);
    } else if (canary_is_short(size, room)) {
        vector *last = small_vector(block, room, 0);
        *last ^= (*last ^ CANARY) & *canary_keep(size, room);
    } else {
        bytes_set(block, size, room, CANARY);
    }
}

HAK_COLD static void canary_broken(const struct hak_slab *slab, const void *block, size_t size,
                                   size_t at) {
    hak_audit_report("nothing is written behind the requested size (offset of the byte, size)", at,
                     size, slab, block);
}

HAK_INLINE void canary_check(const struct hak_slab *slab, const void *block, size_t size,
                             size_t room) {
    if (HAK_ASAN) return; /* the write itself was reported */
    size_t behind = room - size;
    if (room > SMALL_ROOM) {
        if (HAK_LIKELY(window_is_from(block, canary_window(size, room), size, CANARY))) return;
    } else if (canary_is_short(size, room)) {
        vector differ = *small_vector(block, room, 0) ^ CANARY;
        if (HAK_LIKELY(all_zero(differ & *canary_keep(size, room)))) return;
    }
    size_t end = behind < ENDS_BYTES ? room : size + ENDS_BYTES;
    size_t at = bytes_differ(block, size, end, CANARY);
    if (HAK_UNLIKELY(at < end)) canary_broken(slab, block, size, at);
}

/* A block becomes live. `frame`: the hook's. */
HAK_INLINE void block_begun(void *user, size_t size, const void *frame) {
    const struct hak_slab *slab = hak_slab_find(user);
    size_t room = room_of(slab);
    if (HAK_VALGRIND) hak_valgrind_begun(user, size, room, false);
    struct hak_audit_block *record = record_of(slab, user);
    if (record == NULL) return;
    expect(record, HAK_AUDIT_IN_BIN, "state of an allocated block", slab, user);
    fits_check(slab, user, size, room);
    if (HAK_UNLIKELY(record->thread != thread_mark()))
        hak_audit_report("an allocated block was in this thread's list", record->thread,
                         thread_mark(), slab, user);
    if (record->filled && !HAK_ASAN) free_fill_check(slab, user, room);
    unpoison(user, room);
    record->filled = 0;
    record->state = HAK_AUDIT_LIVE;
    record->size = (uint32_t)size;
    record->alloc_site = hak_audit_site_of(frame);
    record->free_site = 0;
    canary_set(user, size, room);
}

/* A block is freed. `frame`: the hook's. */
HAK_INLINE void block_ended(void *user, const void *frame) {
    if (HAK_VALGRIND) hak_valgrind_ended(user);
    if (hak_audit_options.level < 2) return;
    const struct hak_slab *slab = hak_slab_find(user);
    struct hak_audit_block *record = slab != NULL ? record_of(slab, user) : NULL;
    if (HAK_UNLIKELY(record == NULL)) {
        if (slab == NULL || !hak_slab_has(slab, user))
            hak_audit_report("a freed pointer is a block's", 0, 1, slab, user);
        return;
    }
    expect(record, HAK_AUDIT_LIVE, "state of a freed block", slab, user);
    canary_check(slab, user, record->size, room_of(slab));
    free_fill(user, room_of(slab));
    record->filled = 1;
    record->state = HAK_AUDIT_IN_BIN;
    record->thread = thread_mark();
    record->free_site = hak_audit_site_of(frame);
}

void hak_audit_malloc(void *user, size_t size) {
    block_begun(user, size, __builtin_frame_address(0));
}

void hak_audit_free(void *user) {
    block_ended(user, __builtin_frame_address(0));
}

static void block_resized(const struct hak_slab *slab, void *block, size_t size) {
    struct hak_audit_block *record = record_of(slab, block);
    if (record == NULL) return;
    size_t room = room_of(slab);
    expect(record, HAK_AUDIT_LIVE, "state of a resized block", slab, block);
    fits_check(slab, block, size, room);
    canary_check(slab, block, record->size, room);
    unpoison(block, room);
    record->size = (uint32_t)size;
    canary_set(block, size, room);
}

void hak_audit_resize(void *user, size_t size) {
    const struct hak_slab *slab = hak_slab_find(user);
    size_t room = room_of(slab);
    if (HAK_VALGRIND) {
        size_t old_size = hak_valgrind_usable(user, room);
        hak_valgrind_resizing(user, old_size, size);
        hak_valgrind_resized(user, user, old_size, size, room);
    }
    block_resized(slab, user, size);
}

/* The exact requested size: the bytes behind it hold the canary. */
size_t hak_audit_usable(const void *block, const void *user, size_t room) {
    const struct hak_slab *slab = hak_slab_find(block);
    const struct hak_large *large = slab == NULL ? hak_large_find(block) : NULL;
    const struct hak_audit_block *record =
        slab != NULL ? record_of(slab, block) : hak_audit_large_of(block);
    if (record != NULL && record->state == HAK_AUDIT_LIVE)
        room = (large != NULL ? large->size : record->size) -
               (size_t)((const char *)user - (const char *)block);
    return HAK_VALGRIND ? hak_valgrind_usable(user, room) : room;
}

/* ---- large blocks, and aligned ones inside of others ----------------------------------------- */

static void large_guard(void *user, size_t size, const void *frame) {
    struct hak_audit_block *record = hak_audit_large_of(user);
    if (record == NULL) return;
    *record =
        (struct hak_audit_block){.state = HAK_AUDIT_LIVE, .alloc_site = hak_audit_site_of(frame)};
    canary_set(user, size, hak_large_usable(hak_large_find(user)));
}

/* False if the block has no canary: it was allocated before the audit had opened its books. */
static bool large_check(void *user) {
    struct hak_audit_block *record = hak_audit_large_of(user);
    const struct hak_large *large = hak_large_find(user);
    if (record == NULL || (record->state != HAK_AUDIT_LIVE && record->alloc_site == 0))
        return false;
    expect(record, HAK_AUDIT_LIVE, "state of a large block", NULL, user);
    canary_check(NULL, user, large->size, hak_large_usable(large));
    unpoison(user, hak_large_usable(large));
    return true;
}

/* A slab may take this granule next, and its records must begin as uncarved. The sites are kept
 * until then, for reports of bad frees. */
static void large_unguard(void *user, const void *frame) {
    struct hak_audit_block *record = hak_audit_large_of(user);
    record->free_site = hak_audit_site_of(frame);
    record->state = HAK_AUDIT_UNCARVED;
}

void hak_audit_large_begun(void *user, size_t size, bool zero) {
    if (HAK_VALGRIND) hak_valgrind_begun(user, size, hak_large_usable(hak_large_find(user)), zero);
    large_guard(user, size, __builtin_frame_address(0));
}

void hak_audit_large_ended(void *user) {
    if (HAK_VALGRIND) hak_valgrind_ended(user);
    if (large_check(user)) large_unguard(user, __builtin_frame_address(0));
}

void hak_audit_large_resizing(void *user, size_t size) {
    if (HAK_VALGRIND) hak_valgrind_resizing(user, hak_large_find(user)->size, size);
    large_check(user);
}

void hak_audit_large_left(void *user) {
    if (HAK_VALGRIND) hak_valgrind_ended(user);
    struct hak_audit_block *record = hak_audit_large_of(user);
    if (record != NULL && record->state == HAK_AUDIT_LIVE)
        large_unguard(user, __builtin_frame_address(0));
}

void hak_audit_large_resized(void *old, void *user, size_t old_size, size_t size) {
    size_t room = hak_large_usable(hak_large_find(user));
    if (HAK_VALGRIND) hak_valgrind_resized(old, user, old_size, size, room);
    const struct hak_audit_block *record = hak_audit_large_of(user);
    if (size != old_size)
        large_guard(user, size, __builtin_frame_address(0));
    else if (record != NULL && record->state == HAK_AUDIT_LIVE)
        canary_set(user, size, room);
}

/* The program knows only the inner block `user`. */
void hak_audit_aligned(void *block, void *user, size_t size) {
    block_resized(hak_slab_find(block), block, (size_t)((char *)user - (char *)block) + size);
    if (!HAK_VALGRIND) return;
    hak_valgrind_ended(block);
    hak_valgrind_begun(user, size, size, false);
}

void hak_audit_unaligned(void *block, void *user) {
    if (!HAK_VALGRIND) return;
    hak_valgrind_ended(user);
    hak_valgrind_begun(block, 1, 1, false);
}
