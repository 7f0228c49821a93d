/* A damaged log is refused with an error that names a byte of the file, or is read as another valid
 * log. It never causes a crash, a hang or a number out of its bounds. The program runs under
 * AddressSanitizer, and each log lies in a block of exactly the log's length. */
#include "some_log.h"

static size_t errors, valid;

static bool within_bounds(const struct oplog_op *op, size_t offset, void *context) {
    size_t length = *(size_t *)context;
    CHECK(op->kind > OPLOG_NONE && op->kind < OPLOG_KIND_COUNT, "kind %d", (int)op->kind);
    CHECK(op->thread < OPLOG_THREADS && op->slot < OPLOG_SLOTS, "thread %u, slot %u", op->thread,
          op->slot);
    CHECK(offset >= OPLOG_HEADER && offset < length, "operation at byte %zu of %zu", offset,
          length);
    return true;
}

static bool reads(const uint8_t *bytes, size_t length, struct oplog_result *result) {
    uint8_t *exact = malloc(length + (length == 0));
    memcpy(exact, bytes, length);
    bool whole = oplog_read(exact, length, within_bounds, &length, result);
    CHECK(whole == (result->error == NULL) && result->offset <= length, "byte %zu of %zu",
          result->offset, length);
    free(exact);
    *(whole ? &valid : &errors) += 1;
    return whole;
}

static size_t write_log(uint8_t *bytes, size_t room, unsigned operations, bool close_it) {
    struct oplog_writer writer;
    uint64_t state = 7;
    int fd = some_file();
    CHECK(oplog_begin(&writer, fd), "error %d", writer.error);
    for (unsigned i = 0; i < operations; i++) {
        struct oplog_op op = some_op(&state);
        CHECK(oplog_add(&writer, &op), "error %d", writer.error);
    }
    size_t length = OPLOG_HEADER + (size_t)writer.bytes;
    if (close_it) oplog_end(&writer);
    CHECK(length < room && pread(fd, bytes, length, 0) == (ssize_t)length, "%zu bytes", length);
    close(fd);
    return length;
}

/* In a closed log, any damage is an error. */
static void damage_closed(uint8_t *bytes, size_t length) {
    struct oplog_result result;
    CHECK(reads(bytes, length, &result), "the whole log: %s at byte %zu", result.error,
          result.offset);
    for (size_t cut = 0; cut < length; cut++) {
        CHECK(!reads(bytes, cut, &result), "cut to %zu of %zu bytes", cut, length);
        CHECK(result.offset == cut, "cut to %zu bytes: %s at byte %zu", cut, result.error,
              result.offset);
    }
    for (size_t at = 0; at < length; at++)
        for (unsigned value = 1; value < 256; value++) {
            bytes[at] ^= (uint8_t)value;
            CHECK(!reads(bytes, length, &result), "byte %zu is %u", at, bytes[at]);
            bytes[at] ^= (uint8_t)value;
        }
    bytes[length] = 0;
    CHECK(!reads(bytes, length + 1, &result) && result.offset == length, "one byte more");
}

/* The checksums are made correct again, so that each changed byte reaches the reader of records. */
static void damage_sealed(uint8_t *bytes, size_t length, uint64_t operations) {
    struct oplog_result result;
    for (size_t at = OPLOG_HEADER; at < length; at++)
        for (unsigned value = 1; value < 256; value++) {
            bytes[at] ^= (uint8_t)value;
            oplog_seal(bytes, length, operations);
            reads(bytes, length, &result);
            bytes[at] ^= (uint8_t)value;
        }
}

/* A log that was not closed may end anywhere between two records. */
static void damage_unclosed(uint8_t *bytes, size_t length) {
    struct oplog_result result;
    for (size_t cut = 0; cut < length; cut++) {
        bool whole = reads(bytes, cut, &result);
        CHECK(!whole || (!result.closed && cut >= OPLOG_HEADER), "cut to %zu of %zu bytes", cut,
              length);
        CHECK(whole || result.offset == cut, "cut to %zu bytes: error at %zu", cut, result.offset);
    }
}

static void expect_error(const char *records, size_t length, size_t offset, const char *error) {
    uint8_t bytes[OPLOG_HEADER + 64];
    struct oplog_result result;
    memcpy(bytes + OPLOG_HEADER, records, length);
    oplog_seal(bytes, OPLOG_HEADER + length, 1);
    CHECK(!reads(bytes, OPLOG_HEADER + length, &result) && result.offset == OPLOG_HEADER + offset &&
              strcmp(result.error, error) == 0,
          "expected %s at %zu, got %s at %zu", error, offset, result.error,
          result.offset - OPLOG_HEADER);
}

#define EXPECT_ERROR(records, offset, error)                                                       \
    expect_error(records, sizeof records - 1, offset, error)

int main(void) {
    static uint8_t bytes[4096];
    unsigned operations = 40;
    size_t length = write_log(bytes, sizeof bytes, operations, true);
    damage_closed(bytes, length);
    damage_sealed(bytes, length, operations);
    damage_unclosed(bytes, write_log(bytes, sizeof bytes, operations, false));

    EXPECT_ERROR("\x01\x00\x08\x00", 3, "no known operation");
    EXPECT_ERROR("\x3f", 0, "no known operation");
    EXPECT_ERROR("\x44\x00", 0, "an operation that cannot fail has failed");
    EXPECT_ERROR("\x01\x00", 2, "the log ends within a record");
    EXPECT_ERROR("\x01\x80\x00\x08", 2, "a number that is not in its shortest form");
    EXPECT_ERROR("\x01\x80\x80\x80\x20\x08", 1, "a slot that is too high");
    EXPECT_ERROR("\x0d\x80\x20\x00", 1, "a thread that is too high");
    EXPECT_ERROR("\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11,
                 "a number of more than 64 bits");
    EXPECT_ERROR("\x04\x00\x04\x01", (size_t)16 - OPLOG_HEADER,
                 "the number of operations is wrong");
    CHECK(errors > 0 && valid > 0, "%zu errors, %zu valid logs", errors, valid);
    return test_ok("%zu damaged logs refused, %zu other logs read", errors, valid);
}
