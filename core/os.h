/* The only contact with the operating system: memory, limits, time. Threads and processes are in
 * os_process.h. All of it uses HAKMEM's own system calls (syscall.h), and no function that another
 * library may wrap.
 *
 * For all of this file: any thread may call a function, also in a signal handler, unless its
 * comment says "once". No function touches errno, allocates or waits. A call that the kernel lacks,
 * or that a filter of system calls refuses, is an error that the functions handle like any other;
 * docs/using.md has a table of what HAKMEM does without each call.
 *
 * Memory calls go through one table, which tests replace to make the k-th call fail. `bytes` is a
 * number of bytes, above 0; `bytes` and all addresses are multiples of the page size; the caller
 * sees to any larger alignment. The pages of a call come from place() or reserve(), and belong to
 * the caller alone during the call: no other thread reads, writes or changes them. Calls of
 * different threads on different pages need no order. false or NULL means that nothing has changed,
 * except for purge(), renew(), move() and stretch(). */
#ifndef HAK_OS_H
#define HAK_OS_H

#include "core/types.h"

/* What has become of the pages `to` of move(). `from` has changed only after HAK_MOVED: it is
 * unmapped then. */
enum hak_moved {
    /* `to` has the contents of `from`, then zeroes if it read as zero, in kernel mappings of its
     * own. */
    HAK_MOVED,
    HAK_MOVE_REFUSED, /* nothing has changed; the system will never move pages */
    /* `to` reads as zero, and may be a mapping of its own without advice: renew() it, and advise
     * again. */
    HAK_NOT_MOVED,
    /* `to` may be unmapped, or a new mapping of another thread: nobody may use it ever again. */
    HAK_NOT_MOVED_TO_LOST
};

/* What lies at the addresses that place() was asked for. */
enum hak_placed {
    HAK_PLACED,         /* fresh pages: readable, writable, zero at first touch */
    HAK_PLACE_OCCUPIED, /* another mapping, at least in part; nothing has changed */
    /* Nothing has changed: no memory, a limit, or the system lets nobody choose an address. */
    HAK_PLACE_REFUSED
};

struct hak_os_table {
    /* Maps fresh pages at these addresses, which nobody reserved, if nothing lies there. The pages
     * have no advice. Once they have the same advice as the mapping before them, they join it.
     * Limits count them. */
    enum hak_placed (*place)(void *start, size_t bytes);
    /* Address space without memory, at any page, which can be neither read nor written. Of the
     * limits on memory only `ulimit -v` counts it. NULL if there is not so much. */
    void *(*reserve)(size_t bytes);
    /* Gives back address space and whatever lies there; limits count it no longer. From then on
     * another thread may get these addresses. */
    bool (*unmap)(void *start, size_t bytes);
    /* Makes reserved pages readable and writable, zero at first touch. Pages that are committed
     * already keep their contents. */
    bool (*commit)(void *start, size_t bytes);
    /* Gives the memory of committed pages back, from Linux 5.18 on also that of locked pages. The
     * pages read as zero afterwards, and keep their advice. false (a filter of system calls, locked
     * memory before Linux 5.18, an emulator): some of the pages may read as zero; the others keep
     * their contents, except for the first byte. */
    bool (*purge)(void *start, size_t bytes);
    /* Replaces pages by fresh, committed, zero ones without advice. Once these have the same advice
     * as their neighbours, they join the neighbours' mapping. For free pages that move() brought,
     * or whose properties the program had changed. This is the only call with MAP_FIXED. The kernel
     * unmaps before it maps. If it fails in between, the addresses are unmapped for a moment, and
     * another thread's new mapping may come to lie there. So the missing pages are mapped with
     * MAP_FIXED_NOREPLACE, never over anything. false: the addresses may hold the old pages, or
     * another thread's mapping, or nothing: nobody may use them ever again. The caller purges
     * first, so that only addresses are lost, and no memory. */
    bool (*renew)(void *start, size_t bytes);
    /* Moves `bytes` of pages to `longer` bytes of other committed pages, which read as zero,
     * without copying. The two do not overlap. The contents of `to` may be lost even if the move
     * fails: the kernel unmaps `to` before it looks further, see enum hak_moved. Addresses that it
     * left unmapped are mapped again as in renew(). Before Linux 6.17 `from` has to be one kernel
     * mapping, or a part of one, or the move fails. */
    enum hak_moved (*move)(void *from, size_t bytes, void *to, size_t longer);
    /* Lengthens the mapping of the `bytes` of pages to `longer` bytes: the fresh pages behind them
     * become a part of it. HAK_MOVED: done. HAK_NOT_MOVED: the pages behind read as zero, and may
     * be a mapping of their own without advice. HAK_NOT_MOVED_TO_LOST: nobody may use the pages
     * behind ever again. */
    enum hak_moved (*stretch)(void *start, size_t bytes, size_t longer);
    /* Advises for (true) or against (false) transparent huge pages; contents stay. Reserved pages
     * can be advised before they are committed. false: the kernel has no huge pages. */
    bool (*huge_pages)(void *start, size_t bytes, bool wanted);
};

extern HAK_HIDDEN const struct hak_os_table hak_os;

size_t hak_os_page_size(void);   /* bytes, a power of two, at most a granule */
size_t hak_os_memory_size(void); /* bytes of physical memory; 0 if unknown */

/* The lower of the process's limits on its address space (RLIMIT_AS) and on its private memory
 * (RLIMIT_DATA), in bytes. SIZE_MAX: no limit, or unknown. Asks the kernel each time. */
size_t hak_os_limit(void);

/* True if the kernel promises no more memory than it has (vm.overcommit_memory is 2), so that all
 * mapped memory counts. False if unknown. Asks the kernel once. */
bool hak_os_is_strict(void);

/* True if the kernel makes huge pages of all memory that is not advised against them
 * (transparent_hugepage/enabled is "always"). False if unknown. Asks the kernel once. */
bool hak_os_huge_pages_for_all(void);

/* True once some memory was found locked (mlockall): then all mapped memory stays resident. */
bool hak_os_is_locked(void);
/* True if a fresh page that nobody touched is resident: it is locked, and hak_os_is_locked is true
 * from here on. */
bool hak_os_is_locked_at(const void *page);
/* munlock(2); a failure is ignored. */
void hak_os_munlock(void *start, size_t bytes);

/* Milliseconds of a clock that never goes back and wraps after 49 days. Its resolution is a few
 * milliseconds. Where the system has no clock, the time is always 0, and memory that waits for the
 * purge delay waits for a trim. */
uint32_t hak_os_now_ms(void);
/* Once. From here on the clock needs no system call, where the kernel has a vDSO. */
void hak_os_clock_init(void);

/* Milliseconds that the time of another thread may be ahead of one's own, at most: 17 minutes. */
#define HAK_CLOCK_SKEW_MAX_MS ((uint32_t)1 << 20)

/* True if `since`, a time of hak_os_now_ms, is at least `milliseconds` before `now`. `milliseconds`
 * is an hour or so at most, or UINT32_MAX: nothing is so old. Another thread may have taken `since`
 * after `now`; such a time is not old. The clock wraps each 49 days. */
static inline bool hak_is_older(uint32_t since, uint32_t now, uint32_t milliseconds) {
    uint32_t age = now - since;
    return age >= milliseconds && age <= UINT32_MAX - HAK_CLOCK_SKEW_MAX_MS;
}

/* True if all of these bytes are mapped. False also if the system does not tell. */
bool hak_os_is_mapped(const void *start, size_t bytes);

/* ThreadSanitizer and MemorySanitizer have plans for all addresses, except those that the kernel
 * chooses. Each of these functions exists only if the sanitizer's runtime is in the process. */
__attribute__((weak)) void __tsan_java_alloc(uintptr_t start, uintptr_t bytes);
__attribute__((weak)) void __msan_allocated_memory(const volatile void *start, size_t bytes);

/* True if one of the two is in the process. */
HAK_INLINE bool hak_os_has_sanitizer(void) {
    return HAK_UNLIKELY(__tsan_java_alloc != NULL) || HAK_UNLIKELY(__msan_allocated_memory != NULL);
}

/* An address in the stack of the process's first thread, or of the calling thread if the C library
 * does not tell. */
uintptr_t hak_os_first_stack(void);

/* Writes a zero to each page, so that the system gives the pages memory. The caller alone uses
 * them, and they are zero or nobody wants their contents. */
void hak_os_populate(void *start, size_t bytes);

/* As memset(3) with 0, which another library may wrap. */
void hak_os_zero(void *start, size_t bytes);
/* As memcpy(3), which another library may wrap. */
void hak_os_copy(void *to, const void *from, size_t bytes);

#endif
