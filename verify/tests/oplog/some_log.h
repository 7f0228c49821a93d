/* Operations of every kind, made from a seed, and an empty file for a log. */
#ifndef HAK_VERIFY_SOME_LOG_H
#define HAK_VERIFY_SOME_LOG_H

#include <fcntl.h>

#include "fuzz/oplog.h"
#include "test.h"

/* A random number; numbers of every length in bytes occur. */
static uint64_t some_number(uint64_t *state) {
    return test_random(state) >> test_random_below(state, 64);
}

static struct oplog_op some_op(uint64_t *state) {
    struct oplog_op op = {
        .kind = (enum oplog_kind)(1 + test_random_below(state, OPLOG_KIND_COUNT - 1))};
    op.thread = (uint32_t)test_random_below(state, 3) * (OPLOG_THREADS / 3);
    if (oplog_has(op.kind, 's')) op.slot = (uint32_t)some_number(state) % OPLOG_SLOTS;
    if (oplog_has(op.kind, 'n')) op.size = some_number(state);
    if (oplog_has(op.kind, 'a')) op.align = some_number(state);
    if (op.kind == OPLOG_SWITCH) op.size |= 1; /* size 0 (at an operation's end) is not visited */
    op.failed = oplog_returns_block(op.kind) && test_random_below(state, 8) == 0;
    return op;
}

/* Returns an empty file without a name. */
static int some_file(void) {
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);
    CHECK(fd >= 0, "a file without a name: %s", strerror(errno));
    return fd;
}

#endif
