#include "core/os.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "core/syscall.h"
#include "core/vdso.h"
#include "verify/hooks.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* ---- memory ------------------------------------------------------------------------------------------ */

static bool succeeds(long number, const void *start, size_t bytes, int third) {
    return !hak_syscall_failed(hak_syscall3(number, hak_syscall_pointer(start), (long)bytes, third));
}

static long map(void *start, size_t bytes, int protection, int flags) {
    return hak_syscall6(SYS_mmap, (long)start, (long)bytes, protection,
                        flags | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static void *os_reserve(size_t bytes) {
    long start = map(NULL, bytes, PROT_NONE, 0);
    return hak_syscall_failed(start) ? NULL : (void *)start;
}

static bool os_release(void *start, size_t bytes) {
    return succeeds(SYS_munmap, start, bytes, 0);
}

static bool os_commit(void *start, size_t bytes) {
    return succeeds(SYS_mprotect, start, bytes, PROT_READ | PROT_WRITE);
}

static bool os_purge(void *start, size_t bytes) {
    return succeeds(SYS_madvise, start, bytes, MADV_DONTNEED);
}

static bool os_renew(void *start, size_t bytes) {
    return map(start, bytes, PROT_READ | PROT_WRITE, MAP_FIXED) == (long)start;
}

static enum hak_moved os_move(void *from, void *to, size_t bytes) {
    long got = hak_syscall6(SYS_mremap, (long)from, (long)bytes, (long)bytes,
                            MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, (long)to, 0);
    if (got == (long)to) return HAK_MOVED;
    return os_renew(to, bytes) ? HAK_NOT_MOVED : HAK_NOT_MOVED_TO_LOST;
}

static bool os_huge_pages(void *start, size_t bytes, bool wanted) {
    return succeeds(SYS_madvise, start, bytes, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

const struct hak_os_table hak_os = {
    .reserve = os_reserve,
    .release = os_release,
    .commit = os_commit,
    .purge = os_purge,
    .renew = os_renew,
    .move = os_move,
    .huge_pages = os_huge_pages,
};

/* x86-64 has one page size; 0: ask. */
#if defined(__x86_64__)
#define PAGE_SIZE_FIXED 4096u
#else
#define PAGE_SIZE_FIXED 0u
#endif

size_t hak_os_page_size(void) {
    static _Atomic size_t size; /* the answer never changes */
    if (PAGE_SIZE_FIXED != 0) return PAGE_SIZE_FIXED;
    size_t known = atomic_load_explicit(&size, memory_order_relaxed);
    if (known == 0) {
        known = getauxval(AT_PAGESZ); /* sysconf touches 64 KiB more of libc */
        HAK_CHECK(hak_is_power_of_two(known) && known <= HAK_GRANULE);
        atomic_store_explicit(&size, known, memory_order_relaxed);
    }
    return known;
}

size_t hak_os_memory_size(void) {
    struct sysinfo info = {.mem_unit = 0};
    bool known = succeeds(SYS_sysinfo, &info, 0, 0);
    return known ? (size_t)info.totalram * info.mem_unit : 0;
}

void hak_os_zero(void *start, size_t bytes) {
    char *byte = start;
    for (size_t i = 0; i < bytes; i++) {
        byte[i] = 0;
        __asm__ volatile("" : : "r"(byte) : "memory"); /* or the compiler calls memset */
    }
}

void hak_os_copy(void *to, const void *from, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        ((char *)to)[i] = ((const char *)from)[i];
        __asm__ volatile("" : : "r"(to) : "memory"); /* or the compiler calls memcpy */
    }
}

/* ---- time -------------------------------------------------------------------------------------------- */

typedef int clock_function(clockid_t clock, struct timespec *time);

static int clock_by_system_call(clockid_t clock, struct timespec *time) {
    return hak_syscall_failed(hak_syscall3(SYS_clock_gettime, clock, hak_syscall_pointer(time), 0)) ? -1 : 0;
}

/* The system call until the kernel's own function has been looked for. */
static _Atomic(clock_function *) clock_now = clock_by_system_call;

#if defined(__x86_64__)
#define VDSO_CLOCK "__vdso_clock_gettime"
#else
#define VDSO_CLOCK "__kernel_clock_gettime"
#endif

void hak_os_clock_begin(void) {
    int saved = errno;
    uintptr_t image = getauxval(AT_SYSINFO_EHDR);
    errno = saved;
    void *found = image != 0 ? hak_vdso_find(image, VDSO_CLOCK) : NULL;
    if (found == NULL) return;
    hak_hook_atomic(&clock_now, sizeof clock_now);
    atomic_store_explicit(&clock_now, (clock_function *)(uintptr_t)found, memory_order_relaxed);
}

uint32_t hak_os_now_ms(void) {
    struct timespec now;
    int bad = atomic_load_explicit(&clock_now, memory_order_relaxed)(CLOCK_MONOTONIC_COARSE, &now);
    return bad != 0 ? 0 : (uint32_t)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

/* ---- threads and processes --------------------------------------------------------------------------- */

static bool membarrier(int command) {
    return !hak_syscall_failed(hak_syscall3(SYS_membarrier, command, 0, 0));
}

bool hak_os_barrier_begin(void) {
    return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

bool hak_os_barrier(void) {
    return membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

void hak_os_wait(_Atomic uint32_t *word, uint32_t value) {
    hak_syscall4(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, value, 0);
}

void hak_os_wake(_Atomic uint32_t *word, int most) {
    hak_syscall4(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, most, 0);
}

int hak_os_thread_id(void) {
    return (int)hak_syscall3(SYS_gettid, 0, 0, 0);
}

#define SIGNAL_OF_LIBC 32u /* glibc: pthread_cancel(3) */

/* The first thread may have inherited what is blocked, and does not end so. */
bool hak_os_thread_ends(void) {
    uint64_t blocked = 0;
    if (hak_os_thread_id() == (int)hak_syscall3(SYS_getpid, 0, 0, 0)) return false;
    long done = hak_syscall4(SYS_rt_sigprocmask, SIG_BLOCK, 0, hak_syscall_pointer(&blocked), sizeof blocked);
    return !hak_syscall_failed(done) && (blocked >> (SIGNAL_OF_LIBC - 1) & 1) != 0;
}

bool hak_os_is_secure(void) {
    return getauxval(AT_SECURE) != 0;
}

/* A word in a page of its own, which the kernel zeroes in a child of fork. */
static _Atomic uint32_t known_without_page = 1;
static _Atomic(_Atomic uint32_t *) process_known = &known_without_page;

void hak_os_process_begin(void) {
    size_t page = hak_os_page_size();
    long start = map(NULL, page, PROT_READ | PROT_WRITE, 0);
    if (hak_syscall_failed(start)) return;
    if (!succeeds(SYS_madvise, (void *)start, page, MADV_WIPEONFORK)) {
        os_release((void *)start, page);
        return;
    }
    _Atomic uint32_t *known = (_Atomic uint32_t *)start;
    hak_hook_atomic(known, sizeof *known);
    hak_hook_atomic(&process_known, sizeof process_known);
    atomic_store_explicit(known, 1, memory_order_relaxed);
    atomic_store_explicit(&process_known, known, memory_order_release);
}

bool hak_os_process_is_new(void) {
    _Atomic uint32_t *known = atomic_load_explicit(&process_known, memory_order_acquire);
    if (HAK_LIKELY(atomic_load_explicit(known, memory_order_relaxed) != 0)) return false;
    return atomic_exchange_explicit(known, 1, memory_order_acq_rel) == 0;
}

void hak_os_process_began(void) {
    _Atomic uint32_t *known = atomic_load_explicit(&process_known, memory_order_acquire);
    if (known == &known_without_page) atomic_store_explicit(known, 0, memory_order_relaxed);
}
