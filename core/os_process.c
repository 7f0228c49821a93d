#include "core/os_process.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "core/hooks.h"
#include "core/os.h"
#include "core/syscall.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

static bool membarrier(int command) {
    return !hak_syscall_failed(hak_syscall3(SYS_membarrier, command, 0, 0));
}

bool hak_os_barrier_init(void) {
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

/* 0 where a filter of system calls refuses the call. */
static int number_of(long call) {
    long number = hak_syscall3(call, 0, 0, 0);
    return hak_syscall_failed(number) ? 0 : (int)number;
}

int hak_os_thread_id(void) {
    return number_of(SYS_gettid);
}

int hak_os_process_id(void) {
    return number_of(SYS_getpid);
}

bool hak_os_thread_exists(int process, int thread) {
    if (hak_syscall3(SYS_tgkill, process, thread, 0) != -ESRCH) return true;
    /* A filter of system calls may answer ESRCH for every thread, even for this one. */
    return hak_syscall3(SYS_tgkill, process, hak_os_thread_id(), 0) != 0;
}

#define SIGNAL_OF_LIBC 32u /* glibc uses it for pthread_cancel(3) */

bool hak_os_thread_is_first(void) {
    return hak_os_thread_id() == hak_os_process_id();
}

/* The first thread may have inherited its blocked signals, and does not end in this way. */
bool hak_os_thread_is_past_destructors(int thread) {
    uint64_t blocked = 0;
    if (thread == hak_os_process_id()) return false;
    long done = hak_syscall4(SYS_rt_sigprocmask, SIG_BLOCK, 0, hak_syscall_pointer(&blocked),
                             sizeof blocked);
    return !hak_syscall_failed(done) && (blocked >> (SIGNAL_OF_LIBC - 1) & 1) != 0;
}

bool hak_os_is_secure(void) {
    return getauxval(AT_SECURE) != 0;
}

/* The state is a word in a page of its own, which the kernel zeroes in a child of fork. Without
 * such a page it is this word, which the handler of fork zeroes. */
static _Atomic uint32_t known_without_page = HAK_PROCESS_KNOWN;
_Atomic(_Atomic uint32_t *) hak_os_process = &known_without_page;

void hak_os_fork_word_init(void *page) {
    _Atomic uint32_t *known = page;
    long done = hak_syscall3(SYS_madvise, (long)page, (long)hak_os_page_size(), MADV_WIPEONFORK);
    if (hak_syscall_failed(done)) return;
    hak_hook_atomic(known, sizeof *known);
    hak_hook_atomic(&hak_os_process, sizeof hak_os_process);
    atomic_store_explicit(known, HAK_PROCESS_KNOWN, memory_order_relaxed);
    atomic_store_explicit(&hak_os_process, known, memory_order_release);
}

void hak_os_fork_word_reset(void) {
    if (atomic_load_explicit(&hak_os_process, memory_order_relaxed) != &known_without_page) return;
    hak_hook_atomic(&known_without_page, sizeof known_without_page);
    atomic_store_explicit(&known_without_page, HAK_PROCESS_NEW,
                          memory_order_relaxed); /* whatever the parent's state was */
}

bool hak_os_process_set(uint32_t from, uint32_t to) {
    _Atomic uint32_t *known = atomic_load_explicit(&hak_os_process, memory_order_acquire);
    if (!atomic_compare_exchange_strong_explicit(known, &from, to, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return false;
    if ((from & HAK_PROCESS_BUSY) != 0) hak_os_wake(known, INT_MAX);
    return true;
}

void hak_os_process_wait(uint32_t state) {
    hak_os_wait(atomic_load_explicit(&hak_os_process, memory_order_acquire), state);
}
