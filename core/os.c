#include "core/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "core/hooks.h"
#include "core/syscall.h"
#include "core/vdso.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* ---- memory ---------------------------------------------------------------------------------- */

static bool succeeds(long number, const void *start, size_t bytes, int third) {
    return !hak_syscall_failed(
        hak_syscall3(number, hak_syscall_pointer(start), (long)bytes, third));
}

static long map(void *start, size_t bytes, int protection, int flags) {
    return hak_syscall6(SYS_mmap, (long)start, (long)bytes, protection,
                        flags | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

/* Before Linux 4.17 the kernel ignores the flag, and the address is only a hint. */
static enum hak_placed os_place(void *start, size_t bytes) {
    long got = map(start, bytes, PROT_READ | PROT_WRITE, MAP_FIXED_NOREPLACE);
    if (got == (long)start) return HAK_PLACED;
    if (hak_syscall_failed(got)) return got == -EEXIST ? HAK_PLACE_OCCUPIED : HAK_PLACE_REFUSED;
    succeeds(SYS_munmap, (void *)got, bytes, 0);
    return HAK_PLACE_OCCUPIED;
}

static void *os_reserve(size_t bytes) {
    long start = map(NULL, bytes, PROT_NONE, 0);
    return hak_syscall_failed(start) ? NULL : (void *)start;
}

static bool os_unmap(void *start, size_t bytes) {
    return succeeds(SYS_munmap, start, bytes, 0);
}

static bool os_commit(void *start, size_t bytes) {
    return succeeds(SYS_mprotect, start, bytes, PROT_READ | PROT_WRITE);
}

#define PAGES_ASKED 64u /* pages of one mincore call */

bool hak_os_is_mapped(const void *start, size_t bytes) {
    unsigned char resident[PAGES_ASKED];
    const size_t page = hak_os_page_size();
    const uintptr_t end = (uintptr_t)start + bytes;
    HAK_CHECK(bytes > 0);
    for (uintptr_t at = (uintptr_t)start & ~(page - 1); at < end; at += PAGES_ASKED * page) {
        size_t piece = end - at < PAGES_ASKED * page ? end - at : PAGES_ASKED * page;
        if (hak_syscall3(SYS_mincore, (long)at, (long)piece, hak_syscall_pointer(resident)) != 0)
            return false;
    }
    return true;
}

static _Atomic bool found_locked; /* never becomes false again */

bool hak_os_is_locked(void) {
    return atomic_load_explicit(&found_locked, memory_order_relaxed);
}

void hak_os_munlock(void *start, size_t bytes) {
    succeeds(SYS_munlock, start, bytes, 0);
}

static void locked_found(void) {
    hak_hook_atomic(&found_locked, sizeof found_locked);
    atomic_store_explicit(&found_locked, true, memory_order_relaxed);
}

/* Some emulators report that MADV_DONTNEED succeeded and do nothing. So the first purge is tried on
 * a byte that is not zero. */
enum { UNTRIED, DOES_IT, ONLY_SAYS_SO };

static _Atomic int purge_found;

static bool purge_try(void *start, size_t bytes) {
    volatile char *first = start;
    if (!hak_os_is_mapped(start, 1)) return true; /* in a child of fork; remains untried */
    *first = 1;
    long done = hak_syscall3(SYS_madvise, (long)start, (long)bytes, MADV_DONTNEED);
    if (hak_syscall_failed(done)) return true; /* it reports failure; remains untried */
    int found = *first == 0 ? DOES_IT : ONLY_SAYS_SO;
    hak_hook_atomic(&purge_found, sizeof purge_found);
    atomic_store_explicit(&purge_found, found, memory_order_relaxed);
    return found == DOES_IT;
}

static bool page_is_locked(const char *page) {
    return hak_syscall3(SYS_madvise, hak_syscall_pointer(page), (long)hak_os_page_size(),
                        MADV_DONTNEED) == -EINVAL;
}

/* True if three of these pages are locked, of at least sixteen: the program may have locked a few
 * pages for itself. For pages that are being purged. */
static bool all_are_locked(const char *start, size_t bytes) {
    const size_t page = hak_os_page_size();
    return bytes / page >= 16 && page_is_locked(start) && page_is_locked(start + bytes - page) &&
           page_is_locked(start + bytes / page / 2 * page);
}

static bool os_purge(void *start, size_t bytes) {
    int found = atomic_load_explicit(&purge_found, memory_order_relaxed);
    if (HAK_UNLIKELY(found != DOES_IT) && (found == ONLY_SAYS_SO || !purge_try(start, bytes)))
        return false;
    long done = hak_syscall3(SYS_madvise, (long)start, (long)bytes, MADV_DONTNEED);
    if (done == -EINVAL) {
        if (!hak_os_is_locked() && all_are_locked(start, bytes)) locked_found();
        done = hak_syscall3(SYS_madvise, (long)start, (long)bytes, MADV_DONTNEED_LOCKED);
    }
    return !hak_syscall_failed(done);
}

/* Maps again what the kernel unmapped before it failed. False: something lies there, perhaps a new
 * mapping of another thread, or the system refuses. */
static bool map_again(void *start, size_t bytes) {
    return os_place(start, bytes) == HAK_PLACED;
}

static bool os_renew(void *start, size_t bytes) {
    return map(start, bytes, PROT_READ | PROT_WRITE, MAP_FIXED) == (long)start ||
           map_again(start, bytes);
}

/* True for the errors that the kernel, or a filter of system calls, returns before anything has
 * changed: the call or flag does not exist or is forbidden. Other errors may come after `to` was
 * unmapped. */
static bool is_refused(long result) {
    return result == -ENOSYS || result == -EINVAL || result == -EPERM || result == -EACCES;
}

static long move_pages(void *from, size_t bytes, void *to, size_t longer) {
    return hak_syscall6(SYS_mremap, (long)from, (long)bytes, (long)longer,
                        MREMAP_MAYMOVE | MREMAP_FIXED, (long)to, 0);
}

/* True if this number lies at `at`. False also if nothing is mapped there, or the kernel does not
 * tell. A plain read might end the process: another thread may have had a mapping there for a
 * moment. */
static bool is_number(const void *at, uint32_t number) {
    const struct timespec none = {.tv_sec = 0};
    long got;
    do {
        got = hak_syscall4(SYS_futex, hak_syscall_pointer(at), FUTEX_WAIT_PRIVATE, number,
                           hak_syscall_pointer(&none));
    } while (got == -EINTR);
    return got == -ETIMEDOUT; /* the kernel waits only if it finds the number */
}

/* The kernel moves several mappings one by one. If it moved some of them and then failed, this
 * copies the rest. False: nothing was moved. */
static bool move_rest(char *from, size_t bytes, char *to) {
    const size_t page = hak_os_page_size();
    size_t moved = 0;
    while (moved < bytes && !hak_os_is_mapped(from + moved, page))
        moved += page;
    if (moved == 0) return false;
    if (moved == bytes) return true;
    bool there =
        hak_os_is_mapped(to + moved, bytes - moved) || map_again(to + moved, bytes - moved);
    HAK_CHECK(there); /* or neither place can hold all of the pages any more */
    hak_os_copy(to + moved, from + moved, bytes - moved);
    os_unmap(from + moved, bytes - moved);
    return true;
}

/* The first call moves and lengthens the pages, so that they stay one mapping, which can be moved
 * again. If the pages are several mappings, the kernel fails with EFAULT before it has changed
 * anything; from Linux 6.17 on it can move them without a new length. */
static enum hak_moved os_move(void *from, size_t bytes, void *to, size_t longer) {
    volatile uint32_t *mark = to;
    const uint32_t number = (uint32_t)((uintptr_t)from >> 12) | 1;
    *mark = number; /* tells whether the kernel failed before or after it unmapped `to` */
    long got = move_pages(from, bytes, to, longer);
    if (got == -EFAULT && is_number(to, number)) {
        got = move_pages(from, bytes, to, bytes);
        if (got != (long)to && move_rest(from, bytes, to)) return HAK_MOVED;
    }
    if (got == (long)to) return HAK_MOVED;
    if (!is_refused(got) && !is_number(to, number))
        return map_again(to, longer) ? HAK_NOT_MOVED : HAK_NOT_MOVED_TO_LOST;
    *mark = 0;
    return is_refused(got) ? HAK_MOVE_REFUSED : HAK_NOT_MOVED;
}

static enum hak_moved os_stretch(void *start, size_t bytes, size_t longer) {
    char *behind = (char *)start + bytes;
    if (!os_unmap(behind, longer - bytes)) return HAK_NOT_MOVED;
    long got = hak_syscall6(SYS_mremap, (long)start, (long)bytes, (long)longer, 0, 0, 0);
    if (got == (long)start) return HAK_MOVED;
    return map_again(behind, longer - bytes) ? HAK_NOT_MOVED : HAK_NOT_MOVED_TO_LOST;
}

static bool os_huge_pages(void *start, size_t bytes, bool wanted) {
    return succeeds(SYS_madvise, start, bytes, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

const struct hak_os_table hak_os = {
    .place = os_place,
    .reserve = os_reserve,
    .unmap = os_unmap,
    .commit = os_commit,
    .purge = os_purge,
    .renew = os_renew,
    .move = os_move,
    .stretch = os_stretch,
    .huge_pages = os_huge_pages,
};

/* ---- limits ---------------------------------------------------------------------------------- */

static size_t limit_of(int resource) {
    struct rlimit limit = {.rlim_cur = RLIM_INFINITY};
    long done = hak_syscall4(SYS_prlimit64, 0, resource, 0, hak_syscall_pointer(&limit));
    return hak_syscall_failed(done) || limit.rlim_cur == RLIM_INFINITY ? SIZE_MAX : limit.rlim_cur;
}

size_t hak_os_limit(void) {
    size_t space = limit_of(RLIMIT_AS), data = limit_of(RLIMIT_DATA);
    return space < data ? space : data;
}

/* The beginning of one of the kernel's files, as a string; empty if the file cannot be read. */
static void read_setting(const char *path, char *text, size_t size) {
    long read = 0, file = hak_syscall4(SYS_openat, AT_FDCWD, hak_syscall_pointer(path),
                                       O_RDONLY | O_CLOEXEC, 0);
    if (!hak_syscall_failed(file)) {
        read = hak_syscall3(SYS_read, file, hak_syscall_pointer(text), (long)size - 1);
        hak_syscall3(SYS_close, file, 0, 0);
    }
    text[hak_syscall_failed(read) ? 0 : read] = '\0';
}

static bool read_strict(void) {
    char text[8];
    read_setting("/proc/sys/vm/overcommit_memory", text, sizeof text);
    return text[0] == '2';
}

/* The file says "[always] madvise never" if huge pages are for all memory. */
static bool read_huge_pages(void) {
    char text[32];
    read_setting("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof text);
    return text[0] == '[';
}

/* Asks once. *known is 0: not asked yet, 1: no, 2: yes. */
static bool asked(_Atomic int *known, bool (*ask)(void)) {
    int answer = atomic_load_explicit(known, memory_order_relaxed);
    if (answer == 0) {
        answer = ask() ? 2 : 1;
        hak_hook_atomic(known, sizeof *known);
        atomic_store_explicit(known, answer, memory_order_relaxed);
    }
    return answer == 2;
}

bool hak_os_is_strict(void) {
    static _Atomic int known;
    return asked(&known, read_strict);
}

bool hak_os_huge_pages_for_all(void) {
    static _Atomic int known;
    return asked(&known, read_huge_pages);
}

static bool is_resident(const void *page) {
    unsigned char resident = 0;
    long done = hak_syscall3(SYS_mincore, hak_syscall_pointer(page), (long)hak_os_page_size(),
                             hak_syscall_pointer(&resident));
    return !hak_syscall_failed(done) && (resident & 1) != 0;
}

/* False where the kernel reports each mapped page as resident (gVisor), even a page without access,
 * which nobody can touch. */
static bool tells_residence(void) {
    void *page = os_reserve(hak_os_page_size());
    if (page == NULL) return true;
    bool tells = !is_resident(page);
    os_unmap(page, hak_os_page_size());
    return tells;
}

bool hak_os_is_locked_at(const void *page) {
    static _Atomic int known;
    if (!is_resident(page) || !asked(&known, tells_residence)) return false;
    locked_found();
    return true;
}

/* x86-64 has one page size. 0: ask the system. */
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
        known = getauxval(AT_PAGESZ); /* sysconf would touch 64 KiB more of libc */
        HAK_CHECK(hak_is_power_of_two(known) && known <= HAK_GRANULE);
        hak_hook_atomic(&size, sizeof size);
        atomic_store_explicit(&size, known, memory_order_relaxed);
    }
    return known;
}

/* A variable of glibc: a function might be wrapped by another library. Weak, because other C
 * libraries have none. */
extern void *__libc_stack_end __attribute__((weak));

uintptr_t hak_os_first_stack(void) {
    void *stack = &__libc_stack_end != NULL ? __libc_stack_end : NULL;
    return (uintptr_t)(stack != NULL ? stack : __builtin_frame_address(0));
}

size_t hak_os_memory_size(void) {
    struct sysinfo info = {.mem_unit = 0};
    bool known = succeeds(SYS_sysinfo, &info, 0, 0);
    return known ? (size_t)info.totalram * info.mem_unit : 0;
}

/* A loop, because MADV_POPULATE_WRITE needs Linux 5.14. */
void hak_os_populate(void *start, size_t bytes) {
    const size_t page = hak_os_page_size();
    for (size_t i = 0; i < bytes; i += page)
        ((volatile char *)start)[i] = 0;
}

void hak_os_zero(void *start, size_t bytes) {
    char *byte = start;
    for (size_t i = 0; i < bytes; i++) {
        byte[i] = 0;
        __asm__ volatile("" : : "r"(byte) : "memory"); /* otherwise the compiler calls memset */
    }
}

void hak_os_copy(void *to, const void *from, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        ((char *)to)[i] = ((const char *)from)[i];
        __asm__ volatile("" : : "r"(to) : "memory"); /* otherwise the compiler calls memcpy */
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

typedef int clock_function(clockid_t clock, struct timespec *time);

static int clock_by_system_call(clockid_t clock, struct timespec *time) {
    return hak_syscall_failed(hak_syscall3(SYS_clock_gettime, clock, hak_syscall_pointer(time), 0))
               ? -1
               : 0;
}

/* The system call, until hak_os_clock_init has found the function of the vDSO. */
static _Atomic(clock_function *) clock_now = clock_by_system_call;

#if defined(__x86_64__)
#define VDSO_CLOCK "__vdso_clock_gettime"
#else
#define VDSO_CLOCK "__kernel_clock_gettime"
#endif

void hak_os_clock_init(void) {
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
