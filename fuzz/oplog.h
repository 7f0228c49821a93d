/* The operation log: the allocator calls of a program, a fuzzer or a test, in one total order.
 *
 *   file     header, records
 *   header   40 bytes, little endian:
 *              0  "HAKOPLOG"
 *              8  version, 1
 *              9  flags: bit 0, the log was closed by its writer; the others 0
 *             10  0 (2 bytes)
 *             12  checksum of the records
 *             16  number of operations (8 bytes)
 *             24  bytes of all records (8 bytes)
 *             32  checksum of bytes 0..31
 *             36  0 (4 bytes)
 *   record   one byte: the kind, and bit 6 if the request failed; then the numbers of the kind,
 *            each as LEB128 in its shortest form. No record begins with a byte of 0.
 *
 * A record belongs to the virtual thread that the last OPLOG_SWITCH before it named; the first
 * records belong to thread 0. If the writer did not close the log (the program was killed), the
 * header has neither count nor checksum: the records end at the first byte of 0 or at the end of
 * the file.
 *
 * No function here allocates memory or uses stdio, because a log is written in the middle of
 * malloc. */
#ifndef HAK_FUZZ_OPLOG_H
#define HAK_FUZZ_OPLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* X(kind, name, numbers of a record: s slot, n size, a alignment or count, t thread; 1: the
 * operation may return a block) */
#define OPLOG_KINDS(X)                                                                             \
    X(OPLOG_MALLOC, "malloc", "sn", 1)                                                             \
    X(OPLOG_CALLOC, "calloc", "sna", 1)  /* `align` elements of `size` bytes */                    \
    X(OPLOG_REALLOC, "realloc", "sn", 1) /* of NULL if the slot is empty; size 0 frees it */       \
    X(OPLOG_FREE, "free", "s", 0)                                                                  \
    X(OPLOG_ALIGNED_ALLOC, "aligned_alloc", "sna", 1)                                              \
    X(OPLOG_POSIX_MEMALIGN, "posix_memalign", "sna", 1)                                            \
    X(OPLOG_MEMALIGN, "memalign", "sna", 1)                                                        \
    X(OPLOG_USABLE_SIZE, "malloc_usable_size", "s", 0)                                             \
    X(OPLOG_TRIM, "malloc_trim", "n", 0)                                                           \
    X(OPLOG_FREE_AGAIN, "free again", "s",                                                         \
      0) /* an error of the program: frees the last block of the slot again */                     \
    X(OPLOG_THREAD_BEGIN, "thread begin", "",                                                      \
      0) /* optional: a thread also begins with its first record */                                \
    X(OPLOG_THREAD_EXIT, "thread exit", "", 0) /* the number may be used again */                  \
    X(OPLOG_SWITCH, "switch", "tn",                                                                \
      0) /* after `size` yield points of the previous operation; 0: at its end */

#define OPLOG_KIND(kind, name, numbers, block) kind,
enum oplog_kind { OPLOG_NONE, OPLOG_KINDS(OPLOG_KIND) OPLOG_KIND_COUNT };
#undef OPLOG_KIND

struct oplog_op {
    enum oplog_kind kind;
    bool failed;     /* the request failed: the program got no block */
    uint32_t thread; /* below OPLOG_THREADS; in a switch: the thread that goes on */
    uint32_t slot;   /* below OPLOG_SLOTS: number of a pointer that holds one block or none */
    uint64_t size;
    uint64_t align;
};

#define OPLOG_MAGIC      "HAKOPLOG"
#define OPLOG_VERSION    1u
#define OPLOG_HEADER     40u        /* bytes */
#define OPLOG_RECORD_MAX 32u        /* bytes */
#define OPLOG_THREADS    4096u      /* virtual threads alive at once */
#define OPLOG_SLOTS      (1u << 26) /* blocks live at once */

const char *oplog_name(enum oplog_kind kind);
/* True if a record of this kind has the number: 's', 'n', 'a', 't' as in OPLOG_KINDS. */
bool oplog_has(enum oplog_kind kind, char number);
bool oplog_returns_block(enum oplog_kind kind);

/* ---- reading --------------------------------------------------------------------------------- */

struct oplog_result {
    const char *error;   /* NULL: the whole log was read */
    size_t offset;       /* of the wrong byte; without an error, of the end of the log */
    uint64_t operations; /* visited operations */
    uint32_t threads;    /* highest thread number + 1; 0: none */
    uint32_t slots;      /* highest slot number + 1; 0: none */
    bool closed;
};

/* Called for each operation; `offset` is where its record begins. If the function returns false,
 * the reading ends with the error "stopped". */
typedef bool oplog_visit(const struct oplog_op *op, size_t offset, void *context);

/* Reads a log from any bytes; allocates no memory. A switch at the end of an operation is not
 * visited, because each operation names its thread. The meaning of the numbers is not checked: that
 * a freed slot holds a block, for example, is for the visitor to check. The length and the
 * checksums of a closed log are checked before the first visit. */
bool oplog_read(const uint8_t *bytes, size_t length, oplog_visit *visit, void *context,
                struct oplog_result *result);

/* ---- writing --------------------------------------------------------------------------------- */

/* Encodes one record, without its thread; returns the length in bytes. */
size_t oplog_encode(const struct oplog_op *op, uint8_t record[OPLOG_RECORD_MAX]);

/* Writes the header of a whole log of `length` bytes, header included: count, length, checksums,
 * and the flag that the log is closed. */
void oplog_seal(uint8_t *bytes, size_t length, uint64_t operations);

/* Writes a file through a shared mapping: an added record is in the file even if the process is
 * killed at the next instruction. */
struct oplog_writer {
    int fd;
    /* Device and inode of the file that `fd` was open on when the log began: a program may close
     * descriptors that are not its own. */
    dev_t device;
    ino_t inode;
    uint8_t *window;     /* NULL: nothing can be written */
    size_t window_start; /* offset of the window in the file */
    size_t used;         /* bytes of the window that are in use */
    uint32_t thread;
    uint32_t checksum;
    uint64_t operations;
    uint64_t bytes;
    int error; /* an errno; 0: none so far */
};

/* Begins a log in the file that is open as `fd`, which must be readable, writable and empty. On a
 * failure these functions return false with writer->error set; the records before the failure stay
 * a readable log that is not closed. */
bool oplog_begin(struct oplog_writer *writer, int fd);
bool oplog_add(struct oplog_writer *writer, const struct oplog_op *op);
/* Ends the log and cuts the file to its length; `fd` stays open. */
bool oplog_end(struct oplog_writer *writer);
/* Forgets the log and closes `fd`; the file stays as it is. For the child of a fork, which must not
 * write its parent's log. */
void oplog_abandon(struct oplog_writer *writer);

#endif
