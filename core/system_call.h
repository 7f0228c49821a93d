/* System calls as instructions of our own: no library can wrap them, and none is a cancellation point. They leave errno alone. */
#ifndef HAK_SYSTEM_CALL_H
#define HAK_SYSTEM_CALL_H

#include <stdint.h>
#include <sys/syscall.h>

/* What the kernel answers: from -4095 to -1 it is an error's negative number. */
#if defined(__x86_64__)
static inline long hak_syscall6(long number, long a, long b, long c, long d, long e, long f) {
    long answer;
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(answer)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return answer;
}
#elif defined(__aarch64__)
static inline long hak_syscall6(long number, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c, x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#else
#error "a system call of this processor is not known"
#endif

static inline long hak_syscall3(long number, long a, long b, long c) {
    return hak_syscall6(number, a, b, c, 0, 0, 0);
}

static inline long hak_syscall4(long number, long a, long b, long c, long d) {
    return hak_syscall6(number, a, b, c, d, 0, 0);
}

/* A pointer as an argument. */
static inline long hak_syscall_pointer(const void *pointer) {
    return (long)(uintptr_t)pointer;
}

#endif
