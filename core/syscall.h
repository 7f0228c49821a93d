/* System calls as instructions of HAKMEM's own. Another library may wrap a public function of libc,
 * and the wrapper may allocate (libfaketime wraps getpid and clock_gettime, torsocks wraps
 * syscall). Nothing here touches errno.
 *
 * The result is the kernel's: -errno in [-4095, -1] on failure. */
#ifndef HAK_SYSCALL_H
#define HAK_SYSCALL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>

#define HAK_SYSCALL_ERROR_MAX 4095ul

static inline bool hak_syscall_failed(long result) {
    return (unsigned long)result > ~HAK_SYSCALL_ERROR_MAX;
}

#if defined(__x86_64__)
static inline long hak_syscall6(long number, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
static inline long hak_syscall6(long number, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory", "cc");
    return x0;
}
#else
#error "system calls are written for x86-64 and aarch64"
#endif

static inline long hak_syscall3(long number, long a, long b, long c) {
    return hak_syscall6(number, a, b, c, 0, 0, 0);
}

static inline long hak_syscall4(long number, long a, long b, long c, long d) {
    return hak_syscall6(number, a, b, c, d, 0, 0);
}

/* A pointer as an argument of a system call. */
static inline long hak_syscall_pointer(const void *pointer) {
    return (long)(uintptr_t)pointer;
}

#endif
