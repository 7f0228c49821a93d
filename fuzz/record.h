/* Writes the operations of an input as an operation log (fuzz/oplog.h), for `./build.sh replay` and
 * `./build.sh shrink`, to the file that the environment variable FUZZ_OPLOG names. Each operation
 * is written before it is done. */
#ifndef HAK_FUZZ_RECORD_H
#define HAK_FUZZ_RECORD_H

#include "fuzz/oplog.h"

/* Begins a new log, so that the file holds the last input only. These three functions do nothing if
 * FUZZ_OPLOG is not set. */
void fuzz_record_begin(void);
void fuzz_record(enum oplog_kind kind, unsigned thread, unsigned slot, size_t size, size_t align,
                 bool fails);
void fuzz_record_end(void);

#endif
