/* The only contact with the operating system: memory, time, waiting. All of it by system calls of our own
 * (syscall.h): no function that another library may wrap.
 *
 * Memory calls go through one table, which tests replace to make the k-th call fail. Contract of the entries:
 *   - addresses and lengths are multiples of the page size;
 *   - none touches errno, none allocates;
 *   - false or NULL means that nothing has changed, but for renew() and move(), which say what may have. */
#ifndef HAK_OS_H
#define HAK_OS_H

#include "core/types.h"

enum hak_moved { HAK_MOVED, HAK_NOT_MOVED, HAK_NOT_MOVED_TO_LOST };

struct hak_os_table {
    /* Address space without memory; NULL if there is not so much. */
    void *(*reserve)(size_t bytes);
    /* Gives address space back. */
    bool (*release)(void *start, size_t bytes);
    /* Makes reserved pages readable and writable, zero at first touch. */
    bool (*commit)(void *start, size_t bytes);
    /* Gives the pages' memory back; they read as zero afterwards. */
    bool (*purge)(void *start, size_t bytes);
    /* Replaces pages by fresh zero ones; joins the mapping with its neighbours again after move(). MAP_FIXED unmaps
     * before it maps: if that fails half way, the range may be unmapped, and another mapping may come to lie there. */
    bool (*renew)(void *start, size_t bytes);
    /* Moves the pages' contents to other committed pages without copying; `from` reads as zero afterwards. If it
     * fails, `to` reads as zero, or is lost: unmapped, for the kernel makes room there before it looks further. */
    enum hak_moved (*move)(void *from, void *to, size_t bytes);
    /* Advises for (true) or against (false) transparent huge pages. */
    bool (*huge_pages)(void *start, size_t bytes, bool wanted);
};

extern HAK_HIDDEN const struct hak_os_table hak_os;

size_t hak_os_page_size(void);
size_t hak_os_memory_size(void); /* bytes of physical memory; 0 if unknown */

/* Milliseconds of a clock that never goes back; resolution a few milliseconds, no system call. */
uint32_t hak_os_now_ms(void);
/* Once: from here on without a system call, where the kernel offers that. */
void hak_os_clock_begin(void);

/* A memory barrier in all threads of the process at once, which costs those that do not ask for it nothing. begin: once,
 * early, for the system's call is slow in a process that has several threads; false: it has none, and barrier() may not be
 * called. */
bool hak_os_barrier_begin(void);
bool hak_os_barrier(void);

/* Sleeps until another thread wakes those that wait for the word, unless it has another value already. May return early. */
void hak_os_wait(_Atomic uint32_t *word, uint32_t value);
/* Wakes up to `most` of those. */
void hak_os_wake(_Atomic uint32_t *word, int most);

/* The kernel's number of the calling thread. */
int hak_os_thread_id(void);

/* True if the calling thread is in the last part of its end, where no destructor runs any more and libc frees stacks: glibc
 * has blocked all signals then, also the one of its own that pthread_sigmask(3) never blocks. False where that is not
 * known. */
bool hak_os_thread_ends(void);

/* True if the process runs with more rights than its caller (AT_SECURE): its environment is hostile. */
bool hak_os_is_secure(void);

/* Once in each child of fork(2) or clone(2) that has its memory to itself: true, for one caller. A child that shares the
 * parent's memory (vfork) is not new. Needs MADV_WIPEONFORK (Linux 4.14); elsewhere hak_os_process_began has to tell. */
bool hak_os_process_is_new(void);
void hak_os_process_begin(void); /* once, before there is a lock to take */
void hak_os_process_began(
    void); /* by the handler of fork in the child: the process is new, if nobody knows yet */

/* The zero bytes of memset(3), which another library may wrap. */
void hak_os_zero(void *start, size_t bytes);
/* The same for memcpy(3). */
void hak_os_copy(void *to, const void *from, size_t bytes);

#endif
