/* Shared by the programs that work on logs: a log in memory, and the end of the program. */
#ifndef HAK_FUZZ_LOG_FILE_H
#define HAK_FUZZ_LOG_FILE_H

#include "fuzz/oplog.h"

enum log_exit {
    LOG_EXIT_SOUND,
    LOG_EXIT_FAILED, /* an error of the allocator, which may also have ended the program */
    LOG_EXIT_USAGE   /* the log or the command is wrong */
};

struct log_file {
    const char *path;
    const uint8_t *bytes;
    size_t length;
    struct oplog_result result; /* of a first reading, which only checks */
};

/* Writes "PROGRAM: message" to stderr and ends the program. */
_Noreturn void log_die(enum log_exit status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Zeroed memory from the system, not from an allocator; a page takes memory when it is written. */
void *log_memory(size_t bytes);
void log_memory_end(void *memory, size_t bytes);

/* Maps a file and checks it in a first reading; any error ends the program. */
void log_open(struct log_file *log, const char *path);

/* Visits all operations of a log that log_open has read. */
void log_each(const struct log_file *log, oplog_visit *visit, void *context);

#endif
