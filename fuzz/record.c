#include "fuzz/record.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "verify/virtual/system.h"

static struct oplog_writer writer;

void fuzz_record_begin(void) {
    const char *file = getenv("FUZZ_OPLOG");
    if (file == NULL) return;
    int log = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(log >= 0 && oplog_begin(&writer, log), "cannot write the log %s", file);
}

void fuzz_record(enum oplog_kind kind, unsigned thread, unsigned slot, size_t size, size_t align,
                 bool fails) {
    if (writer.window == NULL) return;
    struct oplog_op op = {.kind = kind,
                          .thread = thread,
                          .slot = slot,
                          .size = size,
                          .align = align,
                          .failed = fails};
    FUZZ_CHECK(oplog_add(&writer, &op), "cannot write the log");
}

void fuzz_record_end(void) {
    if (writer.window == NULL) return;
    FUZZ_CHECK(oplog_end(&writer), "cannot end the log");
    close(writer.fd);
}
