/* The reader of operation logs. From any bytes it must read a log or return an error with its
 * offset, and give only numbers within their bounds. The same bytes also become the records of a
 * log with correct checksums. Such a log is read and written twice, and both copies must be the
 * same. */
#include <string.h>

#include "fuzz/oplog.h"
#include "verify/virtual/system.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORDS_MAX ((size_t)4096) /* bytes */

/* A log that is written, with space for the switches that append() adds. */
struct log {
    uint8_t bytes[OPLOG_HEADER + 8 * RECORDS_MAX];
    size_t length;
    uint32_t thread;
    size_t last; /* offset of the previous record */
};

static bool look(const struct oplog_op *op, size_t offset, void *context) {
    size_t *last = context;
    FUZZ_CHECK(offset > *last, "a record at %zu behind one at %zu", offset, *last);
    *last = offset;
    FUZZ_CHECK(op->kind > OPLOG_NONE && op->kind < OPLOG_KIND_COUNT, "a kind of %d", (int)op->kind);
    FUZZ_CHECK(op->thread < OPLOG_THREADS && op->slot < OPLOG_SLOTS, "thread %u, slot %u",
               op->thread, op->slot);
    FUZZ_CHECK(oplog_returns_block(op->kind) || !op->failed, "%s has failed", oplog_name(op->kind));
    return true;
}

static bool append(struct log *log, const struct oplog_op *op) {
    FUZZ_CHECK(log->length + 2 * (size_t)OPLOG_RECORD_MAX <= sizeof log->bytes,
               "the log has grown");
    if (op->kind != OPLOG_SWITCH && op->thread != log->thread)
        log->length += oplog_encode(&(struct oplog_op){.kind = OPLOG_SWITCH, .thread = op->thread},
                                    log->bytes + log->length);
    log->thread = op->thread;
    log->length += oplog_encode(op, log->bytes + log->length);
    return true;
}

static bool copy(const struct oplog_op *op, size_t offset, void *context) {
    struct log *log = context;
    look(op, offset, &log->last);
    return append(log, op);
}

/* Makes log->bytes a closed log; false if its records are not valid. */
static bool seal(struct log *log) {
    struct oplog_result result;
    size_t last = 0;
    oplog_seal(log->bytes, log->length, UINT64_MAX);
    bool whole = oplog_read(log->bytes, log->length, look, &last, &result);
    FUZZ_CHECK(!whole, "a log of too few operations was read");
    FUZZ_CHECK(result.offset <= log->length, "an error at %zu of %zu", result.offset, log->length);
    oplog_seal(log->bytes, log->length, result.operations);
    last = 0;
    return oplog_read(log->bytes, log->length, look, &last, &result);
}

static void read_again(const struct log *first) {
    static struct log second, third;
    struct oplog_result before, after;
    second.length = third.length = OPLOG_HEADER;
    second.thread = third.thread = 0;
    second.last = third.last = 0;
    oplog_read(first->bytes, first->length, copy, &second, &before);
    FUZZ_CHECK(seal(&second), "what was written cannot be read");
    oplog_read(second.bytes, second.length, copy, &third, &after);
    FUZZ_CHECK(seal(&third), "what was written again cannot be read");
    FUZZ_CHECK(before.operations == after.operations && before.slots == after.slots &&
                   before.threads == after.threads,
               "%zu operations became %zu", (size_t)before.operations, (size_t)after.operations);
    FUZZ_CHECK(second.length == third.length &&
                   memcmp(second.bytes, third.bytes, third.length) == 0,
               "what was written twice differs");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct log log;
    struct oplog_result result;
    size_t last = 0;
    if (size > RECORDS_MAX) return 0;
    if (oplog_read(data, size, look, &last, &result))
        FUZZ_CHECK(result.error == NULL && result.offset <= size, "a log that ends at %zu of %zu",
                   result.offset, size);
    else
        FUZZ_CHECK(result.error != NULL && result.offset <= size, "an error at %zu of %zu",
                   result.offset, size);
    memcpy(log.bytes + OPLOG_HEADER, data, size);
    log.length = OPLOG_HEADER + size;
    if (seal(&log)) read_again(&log);
    return 0;
}
