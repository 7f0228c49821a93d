/* Where the program is: stacks, each kept once and named by a number. */
#ifndef HAK_VERIFY_AUDIT_SITE_H
#define HAK_VERIFY_AUDIT_SITE_H

#include "verify/audit.h"
#include "verify/audit_stack.h"

#define HAK_AUDIT_SITES (1u << 16) /* 1..HAK_AUDIT_SITES; 0: unknown */

/* The addresses of a site, innermost first; their number, 0 for an unknown one. */
size_t hak_audit_site_frames(uint32_t site, const void *const **frames);

/* ---- of the hooks alone: the site of every malloc and free ----------------------------------- */

#define HAK_AUDIT_WALK                                                                             \
    11u /* return addresses: the program's, and those of the allocator's library */

struct hak_audit_walk {
    uintptr_t words[HAK_AUDIT_WALK];
    unsigned count;
    uint64_t hash;
};

/* Sites of walks met before: 48 bits of the walk's hash and 16 of the site. What a program does again and again need not
 * be looked at again. */
#define HAK_AUDIT_SHORTCUTS_LOG 12
_Static_assert(HAK_AUDIT_SITES == 1u << 16, "a site fits a shortcut");
extern _Atomic uint64_t hak_audit_shortcuts[1u << HAK_AUDIT_SHORTCUTS_LOG];

#define HAK_AUDIT_HASH(hash, word) (((hash) ^ (word)) * 0x9e3779b97f4a7c15u)
#define HAK_AUDIT_STEP                                                                             \
    ((uintptr_t)1 << 20) /* no frame is larger; also keeps a wild frame pointer near the stack */

/* Both go up from a live frame of a function of the allocator: by frame pointers on a stack that is not the thread's own, and by
 * unwind tables on any. */
void hak_audit_walk_elsewhere(struct hak_audit_walk *walk, uintptr_t frame);
void hak_audit_walk_unwind_tables(struct hak_audit_walk *walk, uintptr_t frame);
uint32_t hak_audit_site_new(const struct hak_audit_walk *walk);

/* True if the frame above, so much higher, may be one. */
HAK_INLINE bool hak_audit_is_step(uintptr_t up) {
    return (up >> 3 | up << 61) - 1 < HAK_AUDIT_STEP / 8; /* a multiple of 8, not 0 */
}

/* Follows frame pointers as far as they make sense and stay on the thread's own stack. */
__attribute__((no_sanitize("address"))) static inline void
hak_audit_walk_frame_pointers(struct hak_audit_walk *walk, uintptr_t frame) {
    if (HAK_UNLIKELY(frame - hak_audit_stack.low > hak_audit_stack.size) &&
        !hak_audit_stack_has(frame)) {
        hak_audit_walk_elsewhere(walk, frame);
        return;
    }
    const uintptr_t end = hak_audit_stack.low + hak_audit_stack.size;
    uintptr_t up;
    uint64_t hash = 0;
    unsigned count = 0;
    do {
        const uintptr_t *words = (const uintptr_t *)frame;
        walk->words[count++] = words[1];
        hash = HAK_AUDIT_HASH(hash, words[1]);
        up = words[0] - frame;
        frame = words[0];
    } while (count < HAK_AUDIT_WALK && hak_audit_is_step(up) && frame <= end);
    walk->count = count;
    walk->hash = hash;
}

/* The site from which the function whose frame this is was called, a function of the allocator. */
HAK_INLINE uint32_t hak_audit_site_of(const void *frame) {
    struct hak_audit_walk walk;
    if (HAK_UNLIKELY(hak_audit_options.unwind))
        hak_audit_walk_unwind_tables(&walk, (uintptr_t)frame);
    else
        hak_audit_walk_frame_pointers(&walk, (uintptr_t)frame);
    uint64_t known = atomic_load_explicit(
        &hak_audit_shortcuts[walk.hash >> (64 - HAK_AUDIT_SHORTCUTS_LOG)], memory_order_relaxed);
    if (HAK_LIKELY(((known ^ walk.hash) >> 16) == 0) && HAK_LIKELY(known != 0))
        return (uint32_t)(known & 0xffff) + 1;
    return hak_audit_site_new(&walk);
}

#endif
