/* How files are opened that a variable of the environment names: no link is followed, no program that is started gets the file,
 * and what is no regular file (a FIFO, a terminal, a device) is neither waited for nor written to. By system calls of our own, for
 * libraries wrap open(2). */
#ifndef HAK_VERIFY_LOG_FILE_H
#define HAK_VERIFY_LOG_FILE_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "core/syscall.h"

#define HAK_LOG_IRREGULAR (-4096) /* no error number of the system */

/* The file, which its owner alone may read, or one of the above, or a negative error number. `flags`: how it is accessed. */
static inline int hak_log_open(const char *path, int flags) {
    struct stat status;
    int safely = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    int file =
        (int)hak_syscall4(SYS_openat, AT_FDCWD, hak_syscall_pointer(path), flags | safely, 0600);
    if (file == -EISDIR || file == -ENXIO)
        return HAK_LOG_IRREGULAR; /* also a FIFO that nobody reads, a socket */
    if (file < 0) return file;
    if (hak_syscall3(SYS_fstat, file, hak_syscall_pointer(&status), 0) == 0 &&
        S_ISREG(status.st_mode))
        return file;
    hak_syscall3(SYS_close, file, 0, 0);
    return HAK_LOG_IRREGULAR;
}

/* What to say of a failed hak_log_open. */
static inline const char *hak_log_problem(int failed) {
    return failed == HAK_LOG_IRREGULAR ? "is no regular file" : strerrorname_np(-failed);
}

#endif
