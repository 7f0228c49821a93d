/* Stacks, each kept once: a table that only grows, without a lock. */
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "verify/audit_block.h"

#define FRAMES 5u
#define STEP   ((uintptr_t)1 << 20) /* no frame is larger; also keeps a wild frame pointer near the stack */

struct site {
    _Atomic uint64_t hash; /* 0: free */
    const void *frames[FRAMES];
};

static struct site sites[HAK_AUDIT_SITES]; /* zero pages until they are used */

extern void *__libc_stack_end; /* glibc: the main thread's first frame */

/* The end of the calling thread's stack: glibc keeps a thread's control block above its stack. */
static uintptr_t stack_end(uintptr_t here) {
    uintptr_t control = (uintptr_t)pthread_self();
    return control > here && control - here < (uintptr_t)1 << 30 ? control : (uintptr_t)__libc_stack_end;
}

static uint32_t site_keep(uint64_t hash, const void *const *frames) {
    if (hash == 0) hash = 1;
    for (uint32_t probe = 0; probe < 16; probe++) {
        struct site *site = &sites[((uint32_t)(hash >> 20) + probe) & (HAK_AUDIT_SITES - 1)];
        uint64_t known = atomic_load_explicit(&site->hash, memory_order_acquire);
        uint64_t expected = 0;
        if (known == 0 && atomic_compare_exchange_strong(&site->hash, &expected, hash)) {
            memcpy(site->frames, frames, sizeof site->frames);
            known = hash;
        }
        if (known == hash || expected == hash) return (uint32_t)(site - sites) + 1;
    }
    return 0; /* the table is full there: no site is better than a wrong one */
}

/* Follows frame pointers as far as they make sense: code built without them ends the walk, or adds a wrong line; no
 * address outside of the stack is read. */
__attribute__((no_sanitize("address"))) uint32_t hak_audit_site_here(void) {
    const void *frames[FRAMES] = {NULL};
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    uintptr_t end = stack_end(frame) - 16;
    uint64_t hash = 0;
    for (unsigned n = 0; n < FRAMES; n++) {
        const uintptr_t *words = (const uintptr_t *)frame;
        uintptr_t next = words[0];
        frames[n] = (const void *)words[1];
        hash = (hash << 7 | hash >> 57) ^ words[1] * 0x9e3779b97f4a7c15u;
        if (next - frame - 1 >= STEP || next > end || next % 8 != 0 || words[1] < 4096) break;
        frame = next;
    }
    return site_keep(hash, frames);
}

size_t hak_audit_site_frames(uint32_t site, const void *const **frames) {
    if (site == 0 || site > HAK_AUDIT_SITES) return 0;
    *frames = sites[site - 1].frames;
    size_t count = 0;
    while (count < FRAMES && sites[site - 1].frames[count] != NULL)
        count++;
    return count;
}
