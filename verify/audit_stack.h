/* What of a stack may be read: nothing whose frame or stack pointer is wild makes the audit read memory that is not there.
 *
 * A thread's own stack is proved once, page by page, from where a walk begins to its end, and stays as long as the thread does.
 * Any other stack (a coroutine's, the alternate signal stack) is proved again in each walk, for the program may unmap it: the
 * kernel is asked once for each page of it that the walk reaches, but for the one that it begins in. */
#ifndef HAK_VERIFY_AUDIT_STACK_H
#define HAK_VERIFY_AUDIT_STACK_H

#include "core/types.h"

/* The calling thread's own stack: frames at low .. low + size may be read, if the walk began at one of them. size 0: not known. */
struct hak_audit_stack {
    uintptr_t low, size;
};
extern _Thread_local struct hak_audit_stack hak_audit_stack
    __attribute__((tls_model("initial-exec")));

/* True if a live frame of the calling thread lies on its own stack; hak_audit_stack has it then. */
bool hak_audit_stack_has(uintptr_t frame);

/* Proofs for one walk, which begins at a live frame. */
struct hak_audit_proof {
    uintptr_t low, high; /* what was proved last */
};
struct hak_audit_proof hak_audit_proof_begin(uintptr_t frame);

/* False: the word at the address cannot be read, or nothing is known of it. */
bool hak_audit_read(struct hak_audit_proof *proof, uintptr_t address, uintptr_t *word);

#endif
