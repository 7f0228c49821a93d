/* Walks stacks by unwind tables (DWARF call frame information, .eh_frame), for code without frame
 * pointers. Unlike libgcc's unwinder this one takes no lock, and reads no memory of a stack that it
 * has not proved readable. It supports what the rules of the return address, frame pointer and
 * stack pointer need. The walk ends at anything else. */
#ifndef HAK_VERIFY_AUDIT_UNWIND_H
#define HAK_VERIFY_AUDIT_UNWIND_H

#include "verify/audit_stack.h"

/* The registers that are followed. */
enum hak_unwind_register { HAK_UNWIND_SP, HAK_UNWIND_FP, HAK_UNWIND_PC, HAK_UNWIND_REGISTERS };

struct hak_unwind {
    uintptr_t registers[HAK_UNWIND_REGISTERS];
    bool is_interrupted; /* by a signal: PC is the next instruction, not a return address */
    struct hak_audit_proof proof;
};

/* The calling function's own frame. */
#define HAK_UNWIND_HERE(unwind)                                                                    \
    HAK_UNWIND_OWN_REGISTERS((unwind)->registers[HAK_UNWIND_PC],                                   \
                             (unwind)->registers[HAK_UNWIND_SP],                                   \
                             (unwind)->registers[HAK_UNWIND_FP])
#if defined(__x86_64__)
#define HAK_UNWIND_OWN_REGISTERS(pc, sp, fp)                                                       \
    __asm__ volatile("lea 0(%%rip), %0\n\tmov %%rsp, %1\n\tmov %%rbp, %2"                          \
                     : "=&r"(pc), "=&r"(sp), "=&r"(fp))
#elif defined(__aarch64__)
#define HAK_UNWIND_OWN_REGISTERS(pc, sp, fp)                                                       \
    __asm__ volatile("adr %0, .\n\tmov %1, sp\n\tmov %2, x29" : "=&r"(pc), "=&r"(sp), "=&r"(fp))
#endif

/* Goes to the frame's caller. False: there is none, or it cannot be found. */
bool hak_unwind_step(struct hak_unwind *unwind);

#endif
