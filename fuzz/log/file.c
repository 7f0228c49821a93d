#include "fuzz/log/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* dprintf and vsnprintf do not allocate with these formats. */
_Noreturn void log_die(enum log_exit status, const char *format, ...) {
    char text[500];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    dprintf(STDERR_FILENO, "%s: %s\n", program_invocation_short_name, text);
    _exit((int)status);
}

void *log_memory(size_t bytes) {
    void *memory = mmap(NULL, bytes > 0 ? bytes : 1, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) log_die(LOG_EXIT_USAGE, "no memory for %zu bytes", bytes);
    return memory;
}

void log_memory_end(void *memory, size_t bytes) {
    munmap(memory, bytes > 0 ? bytes : 1);
}

static bool visit_nothing(const struct oplog_op *op, size_t offset, void *context) {
    (void)op;
    (void)offset;
    (void)context;
    return true;
}

void log_open(struct log_file *log, const char *path) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) log_die(LOG_EXIT_USAGE, "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode)) log_die(LOG_EXIT_USAGE, "%s: is no file", path);
    *log = (struct log_file){
        .path = path, .length = (size_t)status.st_size, .bytes = (const uint8_t *)""};
    if (log->length > 0) log->bytes = mmap(NULL, log->length, PROT_READ, MAP_PRIVATE, fd, 0);
    if (log->bytes == MAP_FAILED) log_die(LOG_EXIT_USAGE, "%s: %s", path, strerror(errno));
    close(fd);
    if (!oplog_read(log->bytes, log->length, visit_nothing, NULL, &log->result))
        log_die(LOG_EXIT_USAGE, "%s: byte %zu: %s", path, log->result.offset, log->result.error);
}

void log_each(const struct log_file *log, oplog_visit *visit, void *context) {
    struct oplog_result result;
    if (!oplog_read(log->bytes, log->length, visit, context, &result))
        log_die(LOG_EXIT_USAGE, "%s: byte %zu: %s", log->path, result.offset, result.error);
}
