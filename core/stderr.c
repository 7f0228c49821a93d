#include "core/stderr.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/hooks.h"
#include "core/syscall.h"

#define NOWHERE  (-1)
#define PATIENCE 1 /* seconds to wait for a file that takes no bytes at the moment (O_NONBLOCK) */

static struct {
    _Atomic int file; /* where lines go; NOWHERE: they are dropped */
    bool is_asked;    /* hak_stderr_keep was called */
    bool is_kept;     /* stderr was open then; device and inode say which file it was */
    int copy;         /* the duplicate; NOWHERE: none */
    dev_t device;
    ino_t inode;
} output = {.file = STDERR_FILENO, .copy = NOWHERE};

/* Waits for PATIENCE seconds at most; true if the file takes more bytes. */
static bool takes_more(int file) {
    struct pollfd wait = {.fd = file, .events = POLLOUT};
    struct timespec limit = {.tv_sec = PATIENCE};
    return hak_syscall6(SYS_ppoll, hak_syscall_pointer(&wait), 1, hak_syscall_pointer(&limit), 0, 0,
                        0) > 0;
}

void hak_os_write_error(const char *text, size_t length) {
    int file = atomic_load_explicit(&output.file, memory_order_relaxed);
    while (length > 0) {
        long done = hak_syscall3(SYS_write, file, hak_syscall_pointer(text), (long)length);
        if (done == -EINTR || (done == -EAGAIN && takes_more(file))) continue;
        if (done <= 0) break; /* closed or full: the rest of the text is dropped */
        text += done;
        length -= (size_t)done;
    }
}

/* The kernel's structure is the same as libc's on x86-64 and aarch64. */
static bool status_of(int file, struct stat *status) {
    return hak_syscall3(SYS_fstat, file, hak_syscall_pointer(status), 0) == 0;
}

static bool is_as_kept(int file) {
    struct stat now;
    return status_of(file, &now) && now.st_dev == output.device && now.st_ino == output.inode;
}

void hak_stderr_keep(void) {
    static const int least[] = {
        500, 100, 10}; /* programs rely on the low numbers; RLIMIT_NOFILE may forbid high ones */
    struct stat status;
    if (output.is_asked) return;
    output.is_asked = true;
    output.is_kept = status_of(STDERR_FILENO, &status);
    if (!output.is_kept) return;
    output.device = status.st_dev;
    output.inode = status.st_ino;
    for (size_t i = 0; i < sizeof least / sizeof least[0] && output.copy < 0; i++)
        output.copy = (int)hak_syscall3(SYS_fcntl, STDERR_FILENO, F_DUPFD_CLOEXEC, least[i]);
    HAK_ASSERT(output.copy < 0 || output.copy >= least[2]);
}

void hak_stderr_find(void) {
    int file = NOWHERE;
    if (!output.is_asked) return;
    if (output.is_kept && is_as_kept(STDERR_FILENO))
        file = STDERR_FILENO;
    else if (output.is_kept && output.copy >= 0 && is_as_kept(output.copy))
        file = output.copy;
    HAK_ASSERT(file == NOWHERE || output.is_kept);
    hak_hook_atomic(&output.file, sizeof output.file);
    atomic_store_explicit(&output.file, file, memory_order_relaxed);
}

void hak_stderr_insist(void) {
    int file = atomic_load_explicit(&output.file, memory_order_relaxed);
    HAK_ASSERT(file >= NOWHERE);
    if (file == NOWHERE) atomic_store_explicit(&output.file, STDERR_FILENO, memory_order_relaxed);
}
