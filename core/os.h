/* The only contact with the operating system: memory, limits, time; threads and processes are in os_process.h. All of it by
 * system calls of our own (syscall.h): no function that another library may wrap.
 *
 * For all of this file: any thread may call it, also in a signal handler, unless the function says
 * "once". Nothing touches errno, nothing allocates, nothing waits. What a kernel
 * lacks, or a filter of system calls refuses, is an answer like any other; docs/using.md has the
 * table of what is done without each call.
 *
 * Memory calls go through one table, which tests replace to make the k-th call fail. `bytes` is
 * a number of bytes, above 0; it and all addresses are multiples of the page size; alignment to
 * more is the caller's business. A range is one that reserve() gave, or a part of it, and the
 * caller's alone during the call: no other thread reads, writes or changes it. The calls of
 * different threads on different ranges need no order. false or NULL means that nothing has
 * changed, but for renew() and move(). */
#ifndef HAK_OS_H
#define HAK_OS_H

#include "core/types.h"

/* What has become of the range `to` of move(). Only after HAK_MOVED has `from` changed: it is
 * unmapped. */
enum hak_moved {
    HAK_MOVED, /* it has the contents of `from`, then zeroes if it had, in kernel mappings of its own */
    HAK_MOVE_REFUSED, /* nothing has changed; the system will never move pages */
    HAK_NOT_MOVED, /* it reads as zero, and may be a mapping of its own without advice: renew() it, and advise again */
    HAK_NOT_MOVED_TO_LOST /* it may be unmapped, or another thread's new mapping: nobody may use it ever again */
};

/* What lies now where place() was asked to put pages. */
enum hak_placed {
    HAK_PLACED,      /* fresh pages: readable, writable, zero at first touch */
    HAK_PLACE_TAKEN, /* what was there, at least in part; nothing has changed */
    HAK_PLACE_REFUSED /* nothing has changed: no memory, a limit, or the system gives no addresses by name */
};

struct hak_os_table {
    /* Fresh pages at these addresses, which nobody reserved, if nothing lies there. They join the
     * mapping before them once they have the same advice; they have none. Limits count them. */
    enum hak_placed (*place)(void *start, size_t bytes);
    /* Address space without memory, at any page: it can be neither read nor written. Costs
     * nothing that a limit on memory counts, but for `ulimit -v`. NULL if there is not so much. */
    void *(*reserve)(size_t bytes);
    /* Gives address space back, with whatever lies there, and what limits counted for it. From
     * then on another thread may get it. */
    bool (*release)(void *start, size_t bytes);
    /* Makes reserved pages readable and writable, zero at first touch. Pages that were committed
     * before keep their contents. */
    bool (*commit)(void *start, size_t bytes);
    /* Gives the committed pages' memory back, also that of locked ones (Linux 5.18); they read as
     * zero afterwards, and keep their advice. false: contents as before but for the first byte (a
     * filter, an older kernel's locked memory, an emulator), or some of the pages zero already. */
    bool (*purge)(void *start, size_t bytes);
    /* Replaces pages by fresh, committed, zero ones, which join their neighbours' mapping once
     * they have the same advice; they have none. For where pages were moved to. This is the only
     * call with MAP_FIXED. The kernel unmaps before it maps. If it fails in between, the range
     * is unmapped for a moment, and what another thread maps just then may come to lie there. So
     * what is missing is mapped with MAP_FIXED_NOREPLACE, never over anything. false: there is
     * something, and it may be what was there, or another thread's: nobody may use the range
     * ever again. The caller purges first, so that no memory is lost, only addresses. */
    bool (*renew)(void *start, size_t bytes);
    /* Moves `bytes` of pages to `longer` bytes of other committed pages, which read as zero, without copying.
     * The ranges do not overlap. What `to` held is gone: the kernel makes room there before it looks
     * further, see enum hak_moved. A hole is filled as by renew(). Before Linux 6.17 `from` has to be
     * one kernel mapping, or a part of one, or the move fails. */
    enum hak_moved (*move)(void *from, size_t bytes, void *to, size_t longer);
    /* Makes the mapping of the `bytes` of pages one of `longer` bytes: the fresh pages behind them
     * become a part of it. HAK_MOVED: done. HAK_NOT_MOVED: the pages behind read as zero, and may be a
     * mapping of their own without advice. HAK_NOT_MOVED_TO_LOST: nobody may use these ever again. */
    enum hak_moved (*stretch)(void *start, size_t bytes, size_t longer);
    /* Advises for (true) or against (false) transparent huge pages; contents stay. Also of
     * reserved pages, before they are committed. false: the kernel has none. */
    bool (*huge_pages)(void *start, size_t bytes, bool wanted);
};

extern HAK_HIDDEN const struct hak_os_table hak_os;

size_t hak_os_page_size(void);   /* bytes, a power of two, at most a granule */
size_t hak_os_memory_size(void); /* bytes of physical memory; 0 if unknown */

/* Bytes that the process may map, or have of its own, by the lower of its limits (RLIMIT_AS, RLIMIT_DATA);
 * SIZE_MAX: any number, or unknown. Asks the kernel each time. */
size_t hak_os_limit(void);

/* True if the kernel promises no more memory than it has (vm.overcommit_memory is 2), so that all
 * that is mapped counts; asked for once. False if unknown. */
bool hak_os_is_strict(void);

/* True if the kernel makes huge pages of all memory that is not advised against them (transparent_hugepage/enabled is
 * always); asked for once. False if unknown. */
bool hak_os_huge_pages_for_all(void);

/* True once some memory was found locked (mlockall): all that is mapped stays in memory. A fresh
 * page that nobody touched is found so if it is in memory. */
bool hak_os_is_locked(void);
bool hak_os_is_locked_at(const void *page);
void hak_os_unlock(void *start, size_t bytes);

/* Milliseconds of a clock that never goes back and wraps after 49 days; resolution a few
 * milliseconds, no system call. Where there is no clock it stands still at 0: what waits for the
 * purge delay waits for a trim then. */
uint32_t hak_os_now_ms(void);
/* Once: from here on without a system call, where the kernel offers that. */
void hak_os_clock_begin(void);

/* Another thread's time may be later than one's own, but not by more than that: 17 minutes. */
#define HAK_TIMES_APART ((uint32_t)1 << 20)

/* True if `since`, a time of hak_os_now_ms, is at least so long ago, an hour or so at most; nothing is UINT32_MAX old. Another
 * thread may have taken it after `now`; such a time is not old. The clock wraps each 49 days. */
static inline bool hak_is_older(uint32_t since, uint32_t now, uint32_t milliseconds) {
    uint32_t age = now - since;
    return age >= milliseconds && age <= UINT32_MAX - HAK_TIMES_APART;
}

/* True if these bytes are mapped; false also if the system does not tell. */
bool hak_os_is_mapped(const void *start, size_t bytes);

/* True if a sanitizer's runtime that has plans for all addresses but the kernel's own choice is in
 * the process: ThreadSanitizer's or MemorySanitizer's. */
__attribute__((weak)) void __tsan_java_alloc(uintptr_t start, uintptr_t bytes);
__attribute__((weak)) void __msan_allocated_memory(const volatile void *start, size_t bytes);

HAK_INLINE bool hak_os_is_watched(void) {
    return HAK_UNLIKELY(__tsan_java_alloc != NULL) || HAK_UNLIKELY(__msan_allocated_memory != NULL);
}

/* An address in the stack of the process's first thread; if the C library does not tell, in the calling thread's. */
uintptr_t hak_os_first_stack(void);

/* Has the system give memory to pages that the caller alone uses and that are zero, or of which nobody wants the contents. */
void hak_os_touch(void *start, size_t bytes);

/* The zero bytes of memset(3), which another library may wrap. */
void hak_os_zero(void *start, size_t bytes);
/* The same for memcpy(3). */
void hak_os_copy(void *to, const void *from, size_t bytes);

#endif
