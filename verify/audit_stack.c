#include "verify/audit_stack.h"

#include <errno.h>
#include <linux/futex.h>

#include "core/syscall.h"

#define PAGE       ((uintptr_t)4096) /* the smallest page size */
#define STACK_MAX  ((uintptr_t)1 << 30)
#define FRAME_SIZE (2 * sizeof(uintptr_t))

extern void *__libc_stack_end; /* glibc: the main thread's first frame */

_Thread_local struct hak_audit_stack hak_audit_stack;

/* No frame at or below this address is on the thread's own stack: a page between cannot be read. */
static _Thread_local uintptr_t foreign_to __attribute__((tls_model("initial-exec")));

/* The system call wakes 0 waiters and moves 0 waiters, so it changes nothing. But the kernel has to
 * read the word at the address, to compare it. */
static bool is_readable(uintptr_t page) {
    static const uint32_t nobody;
    long answer = hak_syscall6(SYS_futex, (long)page, FUTEX_CMP_REQUEUE_PRIVATE, 0, 0,
                               hak_syscall_pointer(&nobody), 0);
    return answer >= 0 || answer == -EAGAIN; /* the word was read: it was equal, or not */
}

/* In place of pthread_self(3), which another library may wrap. */
#if defined(__x86_64__)
#define THREAD_POINTER(to) __asm__("mov %%fs:0, %0" : "=r"(to))
#else
#define THREAD_POINTER(to) __asm__("mrs %0, tpidr_el0" : "=r"(to))
#endif

/* glibc puts the control block of each thread but the main thread above the thread's stack. */
static uintptr_t end_of_stack(uintptr_t here) {
    uintptr_t control;
    THREAD_POINTER(control);
    bool is_thread = control > here && control - here < STACK_MAX;
    return (is_thread ? control : (uintptr_t)__libc_stack_end) - FRAME_SIZE;
}

bool hak_audit_stack_has(uintptr_t frame) {
    struct hak_audit_stack *stack = &hak_audit_stack;
    if (stack->size != 0 && frame - stack->low <= stack->size) return true;
    uintptr_t end = stack->size != 0 ? stack->low + stack->size : end_of_stack(frame);
    uintptr_t known = stack->size != 0 ? stack->low : end + FRAME_SIZE;
    if (frame <= foreign_to || frame >= end || end - frame > STACK_MAX) return false;
    uintptr_t first = frame / PAGE * PAGE;
    for (uintptr_t page = first + PAGE; page < known; page += PAGE)
        if (!is_readable(page)) {
            foreign_to = page;
            return false;
        }
    *stack = (struct hak_audit_stack){.low = first, .size = end - first};
    return true;
}

struct hak_audit_proof hak_audit_proof_begin(uintptr_t frame) {
    if (hak_audit_stack_has(frame))
        return (struct hak_audit_proof){.low = hak_audit_stack.low,
                                        .high = hak_audit_stack.low + hak_audit_stack.size +
                                                FRAME_SIZE};
    uintptr_t page = frame / PAGE * PAGE;
    return (struct hak_audit_proof){.low = page, .high = page + PAGE};
}

__attribute__((no_sanitize("address"))) bool hak_audit_read(struct hak_audit_proof *proof,
                                                            uintptr_t address, uintptr_t *word) {
    if (address % sizeof *word != 0) return false;
    if (address - proof->low >= proof->high - proof->low) {
        uintptr_t page = address / PAGE * PAGE;
        if (!is_readable(page)) return false;
        if (page == proof->high)
            proof->high += PAGE;
        else
            *proof = (struct hak_audit_proof){.low = page, .high = page + PAGE};
    }
    *word = *(const uintptr_t *)address;
    return true;
}
