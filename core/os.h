/* The only contact with the operating system: memory, time, waiting. All of it by system calls of
 * our own (syscall.h): no function that another library may wrap.
 *
 * For all of this file: any thread may call it, also in a signal handler, unless the function says
 * "once". Nothing touches errno, nothing allocates, nothing waits but hak_os_wait. What a kernel
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
    HAK_PLACED,       /* fresh pages: readable, writable, zero at first touch */
    HAK_PLACE_TAKEN,  /* what was there, at least in part; nothing has changed */
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

/* A memory barrier in all threads of the process at once, which costs those that do not ask for it nothing. begin: once,
 * early, for the system's call is slow in a process that has several threads; false: it has none, and barrier() may not be
 * called. barrier() false: there was none. */
bool hak_os_barrier_begin(void);
bool hak_os_barrier(void);

/* Sleeps until another thread of this process wakes those that wait for the word, unless it has
 * another value already. May return early, and returns at once where the system refuses to let
 * it wait: look at the word again. */
void hak_os_wait(_Atomic uint32_t *word, uint32_t value);
/* Wakes up to `most` of those. */
void hak_os_wake(_Atomic uint32_t *word, int most);

/* The kernel's numbers of the calling thread and of its process; 0 if unknown. */
int hak_os_thread_id(void);
int hak_os_process_id(void);

/* False once the kernel does not know the thread any more: it never runs again. True also if the
 * kernel does not answer, for a later thread with the same number, and for the first thread
 * until its process ends. */
bool hak_os_thread_exists(int process, int thread);

/* True if these bytes are mapped; false also if the system does not tell. */
bool hak_os_is_mapped(const void *start, size_t bytes);

/* True if the calling thread, whose number this is, is in the last part of its end, where no destructor runs any more and libc frees stacks: glibc
 * has blocked all signals then, also the one of its own that pthread_sigmask(3) never blocks. False where that is not
 * known. */
bool hak_os_thread_ends(int thread);

/* True if the process runs with more rights than its caller (AT_SECURE): its environment is hostile. */
bool hak_os_is_secure(void);

/* True if a sanitizer's runtime that has plans for all addresses but the kernel's own choice is in
 * the process: ThreadSanitizer's or MemorySanitizer's. */
__attribute__((weak)) void __tsan_java_alloc(uintptr_t start, uintptr_t bytes);
__attribute__((weak)) void __msan_allocated_memory(const volatile void *start, size_t bytes);

HAK_INLINE bool hak_os_is_watched(void) {
    return HAK_UNLIKELY(__tsan_java_alloc != NULL) || HAK_UNLIKELY(__msan_allocated_memory != NULL);
}

/* An address in the stack of the process's first thread; if the C library does not tell, in the calling thread's. */
uintptr_t hak_os_first_stack(void);

/* True if the calling thread is the process's first; in a child of fork, the one that forked. */
bool hak_os_thread_is_first(void);

/* What has been done about the fork that made this process. Each child of fork(2) or clone(2)
 * that has its memory to itself is new; one that shares the parent's (vfork) is not. Needs
 * MADV_WIPEONFORK (Linux 4.14); elsewhere the handler of fork has to tell, by
 * hak_os_process_began. */
enum hak_process {
    HAK_PROCESS_NEW = 0,   /* as the kernel's zero */
    HAK_PROCESS_LOCKS = 1, /* the locks of threads that do not exist here are lost (lock.h) */
    HAK_PROCESS_KNOWN = 2, /* nobody takes those threads for live ones any more (seize.h) */
    HAK_PROCESS_BUSY =
        4 /* on the way from new to locks; the lower half of the thread's name (lock.h) is added */
};
extern HAK_HIDDEN _Atomic(_Atomic uint32_t *) hak_os_process;

void hak_os_process_begin(void *page); /* once, with a zero page for it, before there is a lock to take */
void hak_os_process_began(void);       /* by the handler of fork in the child, before all else */

/* Acquire: what was done before the state was set. No step of the explorer's, for hardly ever is
 * there news. */
static inline uint32_t hak_os_process_state(void) {
    _Atomic uint32_t *state =
        __atomic_load_n((_Atomic uint32_t **)(uintptr_t)&hak_os_process, __ATOMIC_ACQUIRE);
    return __atomic_load_n((uint32_t *)(uintptr_t)state, __ATOMIC_ACQUIRE);
}

/* False: the state is not `from`, or no longer. Wakes who waits for the end of a busy one. */
bool hak_os_process_set(uint32_t from, uint32_t to);
/* Returns some time after the state has changed from `state`. */
void hak_os_process_wait(uint32_t state);

/* Has the system give memory to pages that the caller alone uses and that are zero, or of which nobody wants the contents. */
void hak_os_touch(void *start, size_t bytes);

/* The zero bytes of memset(3), which another library may wrap. */
void hak_os_zero(void *start, size_t bytes);
/* The same for memcpy(3). */
void hak_os_copy(void *to, const void *from, size_t bytes);

#endif
