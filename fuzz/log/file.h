/* What the programs that work on logs share: a log in memory, and the end of the program. */
#ifndef HAK_FUZZ_LOG_FILE_H
#define HAK_FUZZ_LOG_FILE_H

#include "fuzz/oplog.h"

enum log_exit {
    LOG_EXIT_SOUND,
    LOG_EXIT_FAILED, /* the allocator did something wrong; it may also have ended the program itself */
    LOG_EXIT_USAGE /* the log or the command is wrong */
};

struct log_file {
    const char *path;
    const uint8_t *bytes;
    size_t length;
    struct oplog_result result; /* of a reading that changes nothing */
};

/* "PROGRAM: message" on stderr, and the end. */
_Noreturn void log_die(enum log_exit status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Zero bytes that are in no allocator; without memory until they are written. */
void *log_memory(size_t bytes);
void log_memory_end(void *memory, size_t bytes);

/* Maps a file and reads it once; whatever is wrong ends the program. */
void log_open(struct log_file *log, const char *path);

/* Visits all operations of a log that log_open has read. */
void log_each(const struct log_file *log, oplog_visit *visit, void *context);

#endif
