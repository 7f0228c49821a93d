#include "core/os.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "verify/hooks.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static void *os_reserve(size_t bytes) {
    int saved = errno;
    void *start = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    errno = saved;
    return start == MAP_FAILED ? NULL : start;
}

static bool os_release(void *start, size_t bytes) {
    int saved = errno;
    bool ok = munmap(start, bytes) == 0;
    errno = saved;
    return ok;
}

static bool os_commit(void *start, size_t bytes) {
    int saved = errno;
    bool ok = mprotect(start, bytes, PROT_READ | PROT_WRITE) == 0;
    errno = saved;
    return ok;
}

static bool os_purge(void *start, size_t bytes) {
    int saved = errno;
    bool ok = madvise(start, bytes, MADV_DONTNEED) == 0;
    errno = saved;
    return ok;
}

static bool os_renew(void *start, size_t bytes) {
    int saved = errno;
    void *got = mmap(start, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    errno = saved;
    return got == start;
}

static enum hak_moved os_move(void *from, void *to, size_t bytes) {
    int saved = errno;
    void *got = mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to);
    errno = saved;
    if (got == to) return HAK_MOVED;
    return os_renew(to, bytes) ? HAK_NOT_MOVED : HAK_NOT_MOVED_TO_LOST;
}

static bool os_huge_pages(void *start, size_t bytes, bool wanted) {
    int saved = errno;
    bool ok = madvise(start, bytes, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) == 0;
    errno = saved;
    return ok;
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

size_t hak_os_page_size(void) {
    static _Atomic size_t size; /* the answer never changes */
    size_t known = atomic_load_explicit(&size, memory_order_relaxed);
    if (known == 0) {
        known = getauxval(AT_PAGESZ); /* sysconf touches 64 KiB more of libc */
        HAK_CHECK(hak_is_power_of_two(known) && known <= HAK_GRANULE);
        hak_hook_atomic(&size, sizeof size);
        atomic_store_explicit(&size, known, memory_order_relaxed);
    }
    return known;
}

size_t hak_os_memory_size(void) {
    int saved = errno;
    struct sysinfo info;
    size_t bytes = sysinfo(&info) == 0 ? (size_t)info.totalram * info.mem_unit : 0;
    errno = saved;
    return bytes;
}

uint32_t hak_os_now_ms(void) {
    struct timespec now;
    int saved = errno;
    int bad = clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    errno = saved;
    return bad ? 0 : (uint32_t)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

static bool membarrier(int command) {
    int saved = errno;
    bool ok = syscall(SYS_membarrier, command, 0, 0) == 0;
    errno = saved;
    return ok;
}

bool hak_os_barrier_begin(void) {
    return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

bool hak_os_barrier(void) {
    return membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

static void futex(_Atomic uint32_t *word, int operation, uint32_t value) {
    int saved = errno;
    syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
    errno = saved;
}

void hak_os_wait(_Atomic uint32_t *word, uint32_t value) {
    futex(word, FUTEX_WAIT_PRIVATE, value);
}

void hak_os_wake(_Atomic uint32_t *word) {
    futex(word, FUTEX_WAKE_PRIVATE, INT_MAX);
}

int hak_os_thread_id(void) {
    return (int)syscall(SYS_gettid);
}

#define SIGNAL_OF_LIBC 32u /* glibc: pthread_cancel(3) */

/* The first thread may have inherited what is blocked, and does not end so. */
bool hak_os_thread_ends(void) {
    uint64_t blocked = 0;
    if (hak_os_thread_id() == getpid()) return false;
    int saved = errno;
    bool is_known = syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &blocked, sizeof blocked) == 0;
    errno = saved;
    return is_known && (blocked >> (SIGNAL_OF_LIBC - 1) & 1) != 0;
}

bool hak_os_is_secure(void) {
    int saved = errno;
    bool secure = getauxval(AT_SECURE) != 0;
    errno = saved;
    return secure;
}

/* The ranks that the calling thread holds, a bit each. Only debug builds look at it. */
static _Thread_local unsigned ranks_held __attribute__((tls_model("initial-exec")));

/* The thread that forks holds every lock from before the fork until after it. Handlers of other libraries may run in
 * between and allocate: their calls pass. */
static _Atomic uintptr_t forking_thread;

static bool is_forking(void) {
    uintptr_t forking = atomic_load_explicit(&forking_thread, memory_order_relaxed);
    return HAK_UNLIKELY(forking != 0) && forking == (uintptr_t)pthread_self();
}

void hak_lock_fork_begin(void) {
    hak_hook_atomic(&forking_thread, sizeof forking_thread);
    atomic_store_explicit(&forking_thread, (uintptr_t)pthread_self(), memory_order_relaxed);
}

void hak_lock_fork_end(void) {
    atomic_store_explicit(&forking_thread, 0, memory_order_relaxed);
}

bool hak_lock_try(struct hak_lock *lock, bool wait) {
    if (HAK_UNLIKELY(is_forking())) return false;
    if (HAK_DEBUG) HAK_CHECK((ranks_held >> lock->rank) == 0);
    int bad = wait ? pthread_mutex_lock(&lock->mutex) : pthread_mutex_trylock(&lock->mutex);
    HAK_CHECK(bad == 0 || (bad == EBUSY && !wait));
    if (bad != 0) return false;
    hak_hook_acquire(&lock->rank); /* DRD passes over locks inside of pthread_create, where libc allocates */
    if (HAK_DEBUG) ranks_held |= 1u << lock->rank;
    return true;
}

void hak_lock_take(struct hak_lock *lock) {
    hak_lock_try(lock, true);
}

void hak_lock_drop(struct hak_lock *lock) {
    if (HAK_UNLIKELY(is_forking())) return;
    if (HAK_DEBUG) HAK_CHECK((ranks_held & (1u << lock->rank)) != 0);
    if (HAK_DEBUG) ranks_held &= ~(1u << lock->rank);
    hak_hook_release(&lock->rank);
    int bad = pthread_mutex_unlock(&lock->mutex);
    HAK_CHECK(bad == 0);
}

/* glibc keeps the holder's number in the mutex: others read it while it changes, but it is theirs or not. */
bool hak_lock_is_held(const struct hak_lock *lock) {
    return is_forking() ||
           __atomic_load_n(&lock->mutex.__data.__owner, __ATOMIC_RELAXED) == hak_os_thread_id();
}

void hak_lock_abandon(struct hak_lock *lock) {
    if (!hak_lock_is_held(lock)) return;
    ranks_held &= ~(1u << lock->rank);
    pthread_mutex_unlock(&lock->mutex);
}

void hak_lock_fork_abandon(void) {
    if (is_forking()) hak_lock_fork_end();
}
