/* Proves which memory of a stack is readable, so that a wild frame or stack pointer never makes the
 * audit read unmapped memory.
 *
 * A thread's own stack is proved once, page by page, from the frame where a walk begins to the end
 * of the stack. It stays mapped as long as the thread exists. Any other stack (a coroutine's, the
 * alternate signal stack) is proved again in each walk, because the program may unmap it: the
 * kernel is asked once for each page that the walk reaches, except for the page in which the walk
 * begins. */
#ifndef HAK_VERIFY_AUDIT_STACK_H
#define HAK_VERIFY_AUDIT_STACK_H

#include "core/types.h"

/* The calling thread's own stack: frames at low .. low + size may be read, if the walk began at one
 * of them. size 0: not known yet. */
struct hak_audit_stack {
    uintptr_t low, size;
};
extern _Thread_local struct hak_audit_stack hak_audit_stack
    __attribute__((tls_model("initial-exec")));

/* True if this live frame of the calling thread lies on the thread's own stack. hak_audit_stack
 * covers the frame then. */
bool hak_audit_stack_has(uintptr_t frame);

/* The proof for one walk, which begins at a live frame. */
struct hak_audit_proof {
    uintptr_t low, high; /* the part that is known to be readable */
};
struct hak_audit_proof hak_audit_proof_begin(uintptr_t frame);

/* Reads the word at the address. False: the address is not aligned, or cannot be proved
 * readable. */
bool hak_audit_read(struct hak_audit_proof *proof, uintptr_t address, uintptr_t *word);

#endif
