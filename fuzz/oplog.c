#include "fuzz/oplog.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_FAILED 0x40u
#define FLAG_CLOSED   1u
#define WINDOW        ((size_t)1 << 20)
#define WINDOW_STEP   ((size_t)1 << 16) /* a multiple of the page size */

/* Offsets in the header. */
enum {
    AT_VERSION = 8,
    AT_FLAGS = 9,
    AT_ZERO = 10,
    AT_SUM = 12,
    AT_COUNT = 16,
    AT_BYTES = 24,
    AT_HEADER_SUM = 32
};

struct kind {
    const char *name;
    const char *numbers;
    bool block;
};

#define KIND(kind, name, numbers, block) [kind] = {name, numbers, block},
static const struct kind kinds[OPLOG_KIND_COUNT] = {[OPLOG_NONE] = {"none", "", false},
                                                    OPLOG_KINDS(KIND)};

const char *oplog_name(enum oplog_kind kind) {
    return kinds[kind].name;
}

bool oplog_has(enum oplog_kind kind, char number) {
    return strchr(kinds[kind].numbers, number) != NULL;
}

bool oplog_returns_block(enum oplog_kind kind) {
    return kinds[kind].block;
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* FNV-1a: each step is a bijection, so one changed byte always changes the sum. */
#define SUM_BEGIN 0x811c9dc5u

static uint32_t sum_of(uint32_t sum, const uint8_t *bytes, size_t length) {
    for (size_t i = 0; i < length; i++)
        sum = (sum ^ bytes[i]) * 0x01000193u;
    return sum;
}

static void put_fixed(uint8_t *at, uint64_t number, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(number >> 8 * i);
}

static uint64_t get_fixed(const uint8_t *at, unsigned bytes) {
    uint64_t number = 0;
    for (unsigned i = 0; i < bytes; i++)
        number |= (uint64_t)at[i] << 8 * i;
    return number;
}

static size_t put_varint(uint8_t *at, uint64_t number) {
    size_t length = 0;
    for (; number >= 0x80; number >>= 7)
        at[length++] = (uint8_t)(number | 0x80);
    at[length++] = (uint8_t)number;
    return length;
}

static uint64_t *number_of(struct oplog_op *op, char letter, uint64_t *narrow) {
    return letter == 'n' ? &op->size : letter == 'a' ? &op->align : narrow;
}

size_t oplog_encode(const struct oplog_op *op, uint8_t record[OPLOG_RECORD_MAX]) {
    size_t length = 0;
    record[length++] = (uint8_t)((unsigned)op->kind | (op->failed ? RECORD_FAILED : 0));
    for (const char *letter = kinds[op->kind].numbers; *letter != '\0'; letter++) {
        struct oplog_op copy = *op;
        uint64_t narrow = *letter == 's' ? op->slot : op->thread;
        length += put_varint(record + length, *number_of(&copy, *letter, &narrow));
    }
    return length;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct input {
    const uint8_t *bytes;
    size_t at, end;
    struct oplog_result *result;
};

static bool fails(struct input *in, size_t offset, const char *error) {
    in->result->offset = offset;
    in->result->error = error;
    return false;
}

/* Accepts only the shortest form, so that each log has one encoding. */
static bool get_varint(struct input *in, uint64_t *number) {
    *number = 0;
    for (unsigned shift = 0;; shift += 7) {
        if (in->at == in->end) return fails(in, in->at, "the log ends within a record");
        uint8_t byte = in->bytes[in->at++];
        if (shift == 63 && byte > 1) return fails(in, in->at - 1, "a number of more than 64 bits");
        *number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte >= 0x80) continue;
        if (byte == 0 && shift > 0)
            return fails(in, in->at - 1, "a number that is not in its shortest form");
        return true;
    }
}

static bool get_number(struct input *in, char letter, struct oplog_op *op) {
    size_t at = in->at;
    uint64_t narrow = 0;
    uint64_t *number = number_of(op, letter, &narrow);
    if (!get_varint(in, number)) return false;
    if (number != &narrow) return true;
    if (narrow >= (letter == 's' ? OPLOG_SLOTS : OPLOG_THREADS))
        return fails(in, at,
                     letter == 's' ? "a slot that is too high" : "a thread that is too high");
    *(letter == 's' ? &op->slot : &op->thread) = (uint32_t)narrow;
    return true;
}

static bool get_record(struct input *in, struct oplog_op *op) {
    uint8_t first = in->bytes[in->at];
    unsigned kind = first & ~RECORD_FAILED;
    if (kind == OPLOG_NONE || kind >= OPLOG_KIND_COUNT)
        return fails(in, in->at, "no known operation");
    *op = (struct oplog_op){
        .kind = (enum oplog_kind)kind, .failed = first != kind, .thread = op->thread};
    if (op->failed && !kinds[kind].block)
        return fails(in, in->at, "an operation that cannot fail has failed");
    in->at++;
    for (const char *letter = kinds[kind].numbers; *letter != '\0'; letter++)
        if (!get_number(in, *letter, op)) return false;
    return true;
}

static void count(struct oplog_result *result, const struct oplog_op *op) {
    result->operations++;
    if (op->thread >= result->threads) result->threads = op->thread + 1;
    if (oplog_has(op->kind, 's') && op->slot >= result->slots) result->slots = op->slot + 1;
}

static bool get_records(struct input *in, oplog_visit *visit, void *context) {
    struct oplog_op op = {.thread = 0};
    while (in->at < in->end && (in->result->closed || in->bytes[in->at] != 0)) {
        size_t at = in->at;
        if (!get_record(in, &op)) return false;
        if (op.kind == OPLOG_SWITCH && op.size == 0) continue;
        count(in->result, &op);
        if (!visit(&op, at, context)) return fails(in, at, "stopped");
    }
    return true;
}

static bool header_is_sound(struct input *in, size_t length) {
    const uint8_t *bytes = in->bytes;
    for (size_t i = 0; i < strlen(OPLOG_MAGIC); i++) {
        if (i == length) return fails(in, i, "the log ends within its header");
        if (bytes[i] != (uint8_t)OPLOG_MAGIC[i]) return fails(in, i, "this is no operation log");
    }
    if (length < OPLOG_HEADER) return fails(in, length, "the log ends within its header");
    if (bytes[AT_VERSION] != OPLOG_VERSION)
        return fails(in, AT_VERSION, "a version that is not known");
    if (get_fixed(bytes + AT_HEADER_SUM, 4) != sum_of(SUM_BEGIN, bytes, AT_HEADER_SUM))
        return fails(in, AT_HEADER_SUM, "the header's checksum is wrong");
    if (get_fixed(bytes + AT_HEADER_SUM + 4, 4) != 0)
        return fails(in, AT_HEADER_SUM + 4, "a byte of the header that must be 0");
    if (bytes[AT_FLAGS] > FLAG_CLOSED) return fails(in, AT_FLAGS, "a flag that is not known");
    if (get_fixed(bytes + AT_ZERO, 2) != 0)
        return fails(in, AT_ZERO, "a byte of the header that must be 0");
    return true;
}

static bool records_are_whole(struct input *in, size_t length) {
    uint64_t bytes = get_fixed(in->bytes + AT_BYTES, 8);
    if (bytes > length - OPLOG_HEADER) return fails(in, length, "the log was cut off");
    in->end = OPLOG_HEADER + (size_t)bytes;
    if (in->end < length) return fails(in, in->end, "bytes behind the end of the log");
    if (get_fixed(in->bytes + AT_SUM, 4) !=
        sum_of(SUM_BEGIN, in->bytes + OPLOG_HEADER, (size_t)bytes))
        return fails(in, AT_SUM, "the checksum of the records is wrong");
    return true;
}

bool oplog_read(const uint8_t *bytes, size_t length, oplog_visit *visit, void *context,
                struct oplog_result *result) {
    struct input in = {.bytes = bytes, .at = OPLOG_HEADER, .end = length, .result = result};
    *result = (struct oplog_result){.error = NULL};
    if (!header_is_sound(&in, length)) return false;
    result->closed = bytes[AT_FLAGS] & FLAG_CLOSED;
    if (result->closed && !records_are_whole(&in, length)) return false;
    if (!get_records(&in, visit, context)) return false;
    if (result->closed && result->operations != get_fixed(bytes + AT_COUNT, 8))
        return fails(&in, AT_COUNT, "the number of operations is wrong");
    result->offset = in.at;
    return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_header(uint8_t *header, unsigned flags, uint32_t sum, uint64_t operations,
                       uint64_t bytes) {
    memset(header, 0, OPLOG_HEADER);
    memcpy(header, OPLOG_MAGIC, strlen(OPLOG_MAGIC));
    header[AT_VERSION] = OPLOG_VERSION;
    header[AT_FLAGS] = (uint8_t)flags;
    put_fixed(header + AT_SUM, sum, 4);
    put_fixed(header + AT_COUNT, operations, 8);
    put_fixed(header + AT_BYTES, bytes, 8);
    put_fixed(header + AT_HEADER_SUM, sum_of(SUM_BEGIN, header, AT_HEADER_SUM), 4);
}

void oplog_seal(uint8_t *bytes, size_t length, uint64_t operations) {
    uint32_t sum = sum_of(SUM_BEGIN, bytes + OPLOG_HEADER, length - OPLOG_HEADER);
    put_header(bytes, FLAG_CLOSED, sum, operations, length - OPLOG_HEADER);
}

static bool stops(struct oplog_writer *writer, int error) {
    writer->error = error;
    return false;
}

static bool file_is_there(struct oplog_writer *writer) {
    struct stat status;
    return fstat(writer->fd, &status) == 0 && status.st_dev == writer->device &&
                   status.st_ino == writer->inode
               ? true
               : stops(writer, EBADF);
}

/* The file grows by a whole window. The disk space of the window is allocated first, so that a
 * store into the mapping cannot fail. */
static bool window_open(struct oplog_writer *writer, size_t start) {
    if (!file_is_there(writer)) return false;
    int error = posix_fallocate(writer->fd, (off_t)start, (off_t)WINDOW);
    if (error != 0) return stops(writer, error);
    void *window = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED, writer->fd, (off_t)start);
    if (window == MAP_FAILED) return stops(writer, errno);
    writer->window = window;
    writer->window_start = start;
    return true;
}

static void window_close(struct oplog_writer *writer) {
    if (writer->window != NULL) munmap(writer->window, WINDOW);
    writer->window = NULL;
}

/* No record lies in two windows: the next window begins with the last WINDOW_STEP bytes that are
 * not full. */
static bool window_has_room(struct oplog_writer *writer) {
    if (writer->used + OPLOG_RECORD_MAX <= WINDOW) return true;
    size_t whole = writer->used & ~(WINDOW_STEP - 1);
    window_close(writer);
    writer->used -= whole;
    return window_open(writer, writer->window_start + whole);
}

/* The first byte of the record is stored last: until then the log ends before the record. */
static bool put_record(struct oplog_writer *writer, const struct oplog_op *op) {
    uint8_t record[OPLOG_RECORD_MAX];
    if (!window_has_room(writer)) return false;
    size_t length = oplog_encode(op, record);
    uint8_t *to = writer->window + writer->used;
    memcpy(to + 1, record + 1, length - 1);
    __atomic_store_n(to, record[0], __ATOMIC_RELEASE);
    writer->used += length;
    writer->bytes += length;
    writer->checksum = sum_of(writer->checksum, record, length);
    return true;
}

bool oplog_begin(struct oplog_writer *writer, int fd) {
    struct stat status;
    *writer = (struct oplog_writer){.fd = fd, .checksum = SUM_BEGIN};
    if (fstat(fd, &status) != 0) return stops(writer, errno);
    writer->device = status.st_dev;
    writer->inode = status.st_ino;
    if (!window_open(writer, 0)) return false;
    put_header(writer->window, 0, 0, 0, 0);
    writer->used = OPLOG_HEADER;
    return true;
}

bool oplog_add(struct oplog_writer *writer, const struct oplog_op *op) {
    if (writer->window == NULL) return false;
    if (op->kind != OPLOG_SWITCH && op->thread != writer->thread &&
        !put_record(writer, &(struct oplog_op){.kind = OPLOG_SWITCH, .thread = op->thread}))
        return false;
    writer->thread = op->thread;
    if (op->kind != OPLOG_SWITCH || op->size != 0) writer->operations++;
    return put_record(writer, op);
}

bool oplog_end(struct oplog_writer *writer) {
    uint8_t header[OPLOG_HEADER];
    if (writer->window == NULL) return false;
    window_close(writer);
    if (!file_is_there(writer)) return false;
    put_header(header, FLAG_CLOSED, writer->checksum, writer->operations, writer->bytes);
    if (ftruncate(writer->fd, (off_t)(OPLOG_HEADER + writer->bytes)) != 0)
        return stops(writer, errno);
    if (pwrite(writer->fd, header, sizeof header, 0) != (ssize_t)sizeof header)
        return stops(writer, EIO);
    return true;
}

void oplog_abandon(struct oplog_writer *writer) {
    window_close(writer);
    if (file_is_there(writer)) close(writer->fd);
}
