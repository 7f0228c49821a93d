/* The operation log: what a program, a fuzzer or a test asked of an allocator, in one total order.
 *
 *   file     header, records
 *   header   40 bytes, little endian:
 *              0  "HAKOPLOG"
 *              8  version, 1
 *              9  flags: bit 0, the log was closed by its writer; the others 0
 *             10  0 (2 bytes)
 *             12  checksum of the records
 *             16  operations (8 bytes)
 *             24  bytes of all records (8 bytes)
 *             32  checksum of bytes 0..31
 *             36  0 (4 bytes)
 *   record   one byte: kind, and bit 6: the program got no block; then the kind's numbers, each as LEB128 in its
 *            shortest form. No record begins with a byte of 0.
 *
 * A record belongs to the virtual thread that the last OPLOG_SWITCH named; thread 0 begins. A log that its writer did not
 * close (the program was killed) has neither count nor checksum: its records end at the first byte of 0 or the file's end.
 *
 * Nothing here allocates or uses stdio: a log is written in the middle of malloc. */
#ifndef HAK_FUZZ_OPLOG_H
#define HAK_FUZZ_OPLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* X(kind, name, numbers in a record: s slot, n size, a alignment or count, t thread; 1: it may return a block) */
#define OPLOG_KINDS(X)                                                                             \
    X(OPLOG_MALLOC, "malloc", "sn", 1)                                                             \
    X(OPLOG_CALLOC, "calloc", "sna", 1)  /* `align` elements of `size` bytes */                    \
    X(OPLOG_REALLOC, "realloc", "sn", 1) /* of NULL if the slot is empty; size 0 ends the block */ \
    X(OPLOG_FREE, "free", "s", 0)                                                                  \
    X(OPLOG_ALIGNED_ALLOC, "aligned_alloc", "sna", 1)                                              \
    X(OPLOG_POSIX_MEMALIGN, "posix_memalign", "sna", 1)                                            \
    X(OPLOG_MEMALIGN, "memalign", "sna", 1)                                                        \
    X(OPLOG_USABLE_SIZE, "malloc_usable_size", "s", 0)                                             \
    X(OPLOG_TRIM, "malloc_trim", "n", 0)                                                           \
    X(OPLOG_FREE_AGAIN, "free again", "s",                                                         \
      0) /* an error of the program: what the slot held last */                                    \
    X(OPLOG_THREAD_BEGIN, "thread begin", "",                                                      \
      0) /* optional: a thread also begins with its first record */                                \
    X(OPLOG_THREAD_EXIT, "thread exit", "", 0) /* its number may begin again */                    \
    X(OPLOG_SWITCH, "switch", "tn",                                                                \
      0) /* after `size` yield points of the operation before; 0: at its end */

#define OPLOG_KIND(kind, name, numbers, block) kind,
enum oplog_kind { OPLOG_NONE, OPLOG_KINDS(OPLOG_KIND) OPLOG_KIND_COUNT };
#undef OPLOG_KIND

struct oplog_op {
    enum oplog_kind kind;
    bool failed;     /* the program got no block */
    uint32_t thread; /* below OPLOG_THREADS; of a switch: the thread that runs from here on */
    uint32_t slot;   /* below OPLOG_SLOTS: stands for a pointer; empty, or holds one block */
    uint64_t size;
    uint64_t align;
};

#define OPLOG_MAGIC      "HAKOPLOG"
#define OPLOG_VERSION    1u
#define OPLOG_HEADER     40u        /* bytes */
#define OPLOG_RECORD_MAX 32u        /* bytes */
#define OPLOG_THREADS    4096u      /* virtual threads that live at once */
#define OPLOG_SLOTS      (1u << 26) /* blocks that live at once */

const char *oplog_name(enum oplog_kind kind);
/* True if a record of this kind has the number: 's', 'n', 'a', 't' as in OPLOG_KINDS. */
bool oplog_has(enum oplog_kind kind, char number);
bool oplog_returns_block(enum oplog_kind kind);

/* ---- reading --------------------------------------------------------------------------------- */

struct oplog_result {
    const char *error;   /* NULL: the whole log was read */
    size_t offset;       /* of the byte that is wrong; else where the log ends */
    uint64_t operations; /* that were visited */
    uint32_t threads;    /* highest number and 1; 0: none */
    uint32_t slots;      /* the same */
    bool closed;
};

/* False ends the reading: error "stopped". `offset` is where the operation's record begins. */
typedef bool oplog_visit(const struct oplog_op *op, size_t offset, void *context);

/* Reads a log, whatever the bytes are; takes no memory. Switches at the end of an operation are not visited: each
 * operation names its thread. What the numbers mean, such as that a freed slot holds a block, is the visitor's affair. A
 * closed log is proved whole before its first visit. */
bool oplog_read(const uint8_t *bytes, size_t length, oplog_visit *visit, void *context,
                struct oplog_result *result);

/* ---- writing --------------------------------------------------------------------------------- */

/* One record without its thread; returns its length. */
size_t oplog_encode(const struct oplog_op *op, uint8_t record[OPLOG_RECORD_MAX]);

/* Writes count, length and checksums of the `length` bytes of a whole log into its header, as closed. */
void oplog_seal(uint8_t *bytes, size_t length, uint64_t operations);

/* Writes a file through a mapping: what was added is in the file even if the process is killed at the next instruction. */
struct oplog_writer {
    int fd;
    dev_t
        device; /* of the file that `fd` showed: a program may close descriptors that are not its own */
    ino_t inode;
    uint8_t *window;     /* NULL: nothing can be written */
    size_t window_start; /* its place in the file */
    size_t used;         /* of the window */
    uint32_t thread;
    uint32_t checksum;
    uint64_t operations;
    uint64_t bytes;
    int error; /* an errno; 0: none so far */
};

/* Begins a log in the file open at `fd`, which must be readable, writable and empty. The functions return false with
 * writer->error set; what came before the failure stays a readable log that was not closed. */
bool oplog_begin(struct oplog_writer *writer, int fd);
bool oplog_add(struct oplog_writer *writer, const struct oplog_op *op);
/* Ends the log and cuts the file to its length; `fd` stays open. */
bool oplog_end(struct oplog_writer *writer);
/* Forgets the log, whose file stays as it is, and closes `fd`: the child of a fork does not write its parent's log. */
void oplog_abandon(struct oplog_writer *writer);

#endif
