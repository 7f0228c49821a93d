/* The operations of an input as an operation log (fuzz/oplog.h), for `./build.sh replay` and `shrink`: written to the file
 * that FUZZ_OPLOG names, each before it is done. */
#ifndef HAK_FUZZ_RECORD_H
#define HAK_FUZZ_RECORD_H

#include "fuzz/oplog.h"

/* The log begins anew: it holds the last input only. Nothing happens here and below if no file is named. */
void fuzz_record_begin(void);
void fuzz_record(enum oplog_kind kind, unsigned thread, unsigned slot, size_t size, size_t align,
                 bool fails);
void fuzz_record_end(void);

#endif
