/* Opens a file that an environment variable names: no symbolic link is followed, no program that is
 * started inherits the file, and a file that is not regular (a FIFO, a terminal, a device) is
 * neither waited for nor written to. It makes its own system calls, because libraries wrap
 * open(2). */
#ifndef HAK_VERIFY_LOG_FILE_H
#define HAK_VERIFY_LOG_FILE_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "core/syscall.h"

#define HAK_LOG_IRREGULAR (-4096) /* no error number of the system */

/* The descriptor of the file; HAK_LOG_IRREGULAR or a negative error number if it fails. `flags`:
 * the access mode, and O_CREAT and the like. Only the user may access a file that is created. */
static inline int hak_log_open(const char *path, int flags) {
    struct stat status;
    int safely = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    int file =
        (int)hak_syscall4(SYS_openat, AT_FDCWD, hak_syscall_pointer(path), flags | safely, 0600);
    if (file == -EISDIR || file == -ENXIO)
        return HAK_LOG_IRREGULAR; /* a directory; a FIFO without a reader, or a socket */
    if (file < 0) return file;
    if (hak_syscall3(SYS_fstat, file, hak_syscall_pointer(&status), 0) == 0 &&
        S_ISREG(status.st_mode))
        return file;
    hak_syscall3(SYS_close, file, 0, 0);
    return HAK_LOG_IRREGULAR;
}

/* The text for an error of hak_log_open. */
static inline const char *hak_log_problem(int failed) {
    return failed == HAK_LOG_IRREGULAR ? "is no regular file" : strerrorname_np(-failed);
}

#endif
