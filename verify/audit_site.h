/* Sites: stacks of the program, each kept once and named by a number. */
#ifndef HAK_VERIFY_AUDIT_SITE_H
#define HAK_VERIFY_AUDIT_SITE_H

#include "verify/audit.h"
#include "verify/audit_stack.h"

#define HAK_AUDIT_SITES (1u << 16) /* 1..HAK_AUDIT_SITES; 0: unknown */

/* The return addresses of a site, innermost first. Returns how many; 0 for an unknown site. */
size_t hak_audit_site_frames(uint32_t site, const void *const **frames);

/* ---- of the hooks alone: the site of every malloc and free ----------------------------------- */

#define HAK_AUDIT_WALK                                                                             \
    11u /* return addresses in a walk: the program's, and those of the allocator's library */

struct hak_audit_walk {
    uintptr_t words[HAK_AUDIT_WALK];
    unsigned count;
    uint64_t hash;
};

/* Cache of the sites of earlier walks: 48 bits of the walk's hash and 16 bits of the site. A
 * repeated walk then needs no check of its addresses. */
#define HAK_AUDIT_SHORTCUTS_LOG 12
_Static_assert(HAK_AUDIT_SITES == 1u << 16, "a site fits a shortcut");
extern _Atomic uint64_t hak_audit_shortcuts[1u << HAK_AUDIT_SHORTCUTS_LOG];

#define HAK_AUDIT_HASH(hash, word) (((hash) ^ (word)) * 0x9e3779b97f4a7c15u)
#define HAK_AUDIT_STEP                                                                             \
    ((uintptr_t)1 << 20) /* no frame is larger; also keeps a wild frame pointer near the stack */

/* Both walk up from `frame`, a live frame of one of the allocator's functions. The first follows
 * frame pointers on a stack that is not the thread's own. The second uses unwind tables, on any
 * stack. */
void hak_audit_walk_elsewhere(struct hak_audit_walk *walk, uintptr_t frame);
void hak_audit_walk_unwind_tables(struct hak_audit_walk *walk, uintptr_t frame);
uint32_t hak_audit_site_new(const struct hak_audit_walk *walk);

/* True if the caller's frame may lie `up` bytes above this one. */
HAK_INLINE bool hak_audit_is_step(uintptr_t up) {
    return (up >> 3 | up << 61) - 1 < HAK_AUDIT_STEP / 8; /* a multiple of 8, not 0 */
}

/* Follows frame pointers while they are plausible and stay on the thread's own stack. */
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

/* The site that called into the allocator. `frame`: the live frame of an allocator's function. */
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
