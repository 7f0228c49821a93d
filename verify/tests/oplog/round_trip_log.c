/* A log is read as it was written. If the operations are written again, the bytes are the same,
 * because each operation has only one encoding. A log that its writer did not close has all that
 * was written. */
#include "some_log.h"

#include <sys/mman.h>

#define OPERATIONS 300000u /* several windows of the writer */

struct check {
    uint64_t state;
    uint64_t operations;
    struct oplog_writer again;
};

static bool same(const struct oplog_op *a, const struct oplog_op *b) {
    return a->kind == b->kind && a->failed == b->failed && a->thread == b->thread &&
           a->slot == b->slot && a->size == b->size && a->align == b->align;
}

static bool visit(const struct oplog_op *op, size_t offset, void *context) {
    struct check *check = context;
    struct oplog_op expected = some_op(&check->state);
    CHECK(same(op, &expected), "operation %ju at byte %zu: %s", (uintmax_t)check->operations,
          offset, oplog_name(op->kind));
    check->operations++;
    CHECK(oplog_add(&check->again, op), "error %d", check->again.error);
    return true;
}

static size_t map(int fd, uint8_t **bytes) {
    off_t length = lseek(fd, 0, SEEK_END);
    *bytes = mmap(NULL, (size_t)length, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(*bytes != MAP_FAILED, "%s", strerror(errno));
    return (size_t)length;
}

/* Reads a log and writes its operations to another file, which it returns. */
static int copy(int fd, uint64_t seed, bool closed) {
    struct check check = {.state = seed};
    struct oplog_result result;
    uint8_t *bytes;
    size_t length = map(fd, &bytes);
    int other = some_file();
    CHECK(oplog_begin(&check.again, other), "error %d", check.again.error);
    bool whole = oplog_read(bytes, length, visit, &check, &result);
    CHECK(whole, "%s at byte %zu", result.error, result.offset);
    CHECK(result.closed == closed && result.operations == OPERATIONS, "%ju operations",
          (uintmax_t)result.operations);
    CHECK(result.threads > 0 && result.threads <= OPLOG_THREADS && result.slots <= OPLOG_SLOTS,
          "%u threads, %u slots", result.threads, result.slots);
    CHECK(oplog_end(&check.again), "error %d", check.again.error);
    munmap(bytes, length);
    return other;
}

static void expect_same_bytes(int a, int b) {
    uint8_t *bytes_a, *bytes_b;
    size_t length_a = map(a, &bytes_a), length_b = map(b, &bytes_b);
    CHECK(length_a == length_b && memcmp(bytes_a, bytes_b, length_a) == 0, "%zu and %zu bytes",
          length_a, length_b);
}

int main(void) {
    uint64_t seed = 1, state = seed;
    struct oplog_writer writer;
    int fd = some_file();
    CHECK(oplog_begin(&writer, fd), "error %d", writer.error);
    for (uint64_t i = 0; i < OPERATIONS; i++) {
        struct oplog_op op = some_op(&state);
        CHECK(oplog_add(&writer, &op), "error %d", writer.error);
    }
    int unclosed = copy(fd, seed, false);
    CHECK(oplog_end(&writer), "error %d", writer.error);
    int closed = copy(fd, seed, true);
    expect_same_bytes(fd, closed);
    expect_same_bytes(fd, unclosed);
    return test_ok("%u operations", OPERATIONS);
}
