/* Replays a log on the allocator that this program is linked with, in the log's order, and proves
 * every outcome.
 *
 *   replay [--threads real|virtual] FILE
 *
 * real (the default): each virtual thread is a thread of the system with a heap of its own, and the
 * threads take turns. virtual: one thread does everything. The contents of each block are proved
 * when it is resized or freed, and at the end. Status 0: no error. Status 1: an error was found,
 * and one line describes it. Status 2: the log or the command is wrong. A check of the allocator
 * may abort the program; the line "replay: SIGNAL in operation N ..." then says where. */
#include "fuzz/log/replay.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/hakmem.h"
#include "fuzz/log/blocks.h"
#include "fuzz/log/rules.h"
#include "verify/hakmem_audit.h"

static struct oplog_op current;
static uint64_t current_index; /* 0: before the first */

/* ---- what is said ---------------------------------------------------------------------------- */

static int describe(char *text, size_t room) {
    int length = snprintf(text, room, "operation %ju, %s", (uintmax_t)current_index,
                          oplog_name(current.kind));
    if (oplog_has(current.kind, 's'))
        length += snprintf(text + length, room - (size_t)length, ", slot %u", current.slot);
    if (oplog_has(current.kind, 'n'))
        length +=
            snprintf(text + length, room - (size_t)length, ", size %ju", (uintmax_t)current.size);
    if (oplog_has(current.kind, 'a'))
        length += snprintf(text + length, room - (size_t)length, ", %s %ju",
                           current.kind == OPLOG_CALLOC ? "count" : "alignment",
                           (uintmax_t)current.align);
    return length + snprintf(text + length, room - (size_t)length, ", thread %u", current.thread);
}

_Noreturn void replay_fail(const char *format, ...) {
    char where[200], text[300];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    describe(where, sizeof where);
    log_die(LOG_EXIT_FAILED, "%s; %s", text, where);
}

/* Writes in which operation the program dies; the allocator's own check has written the reason. */
static void on_death(int number) {
    char text[250];
    int length = snprintf(text, sizeof text, "replay: %s in ", strsignal(number));
    length += describe(text + length, sizeof text - (size_t)length - 1);
    text[length++] = '\n';
    if (write(STDERR_FILENO, text, (size_t)length) != length) _exit(LOG_EXIT_FAILED);
    signal(number, SIG_DFL);
    raise(number);
}

/* ---- operations ------------------------------------------------------------------------------ */

/* C requires an alignment that fits any object of the size; HAKMEM guarantees 16 for all sizes. */
static size_t least_align(size_t size) {
    bool any_allocator = strcmp(HAK_VARIANT_NAME, "libc") == 0;
    return any_allocator && size < 16 ? 8 : 16;
}

static size_t align_of(const struct oplog_op *op, size_t size) {
    size_t align = least_align(size);
    if (oplog_has(op->kind, 'a') && op->kind != OPLOG_CALLOC)
        while (align < op->align)
            align *= 2;
    return align;
}

static void *request(const struct oplog_op *op) {
    void *block = NULL;
    switch (op->kind) {
    case OPLOG_CALLOC:
        return hak_calloc(op->align, op->size);
    case OPLOG_ALIGNED_ALLOC:
        return hak_aligned_alloc(op->align, op->size);
    case OPLOG_POSIX_MEMALIGN:
        return hak_posix_memalign(&block, op->align, op->size) == 0 ? block : NULL;
    case OPLOG_MEMALIGN:
        return hak_memalign(op->align, op->size);
    default:
        return hak_malloc(op->size);
    }
}

/* If the program got no block, the replay goes on without one, even if its allocator returns
 * one. */
static void do_request(const struct oplog_op *op) {
    void *block = request(op);
    size_t size = op->size;
    if (op->failed) {
        hak_free(block);
        return;
    }
    if (block == NULL) replay_fail("no memory, and the program had got some");
    if (op->kind == OPLOG_CALLOC) {
        size *= op->align;
        blocks_prove_zero(block, size);
    }
    blocks_begin(op->slot, block, size, align_of(op, size));
}

static void do_free(const struct oplog_op *op) {
    blocks_end(op->slot);
    hak_free(blocks_start(op->slot));
}

/* The slot holds a block. If the program's realloc failed and this one succeeds, the block keeps
 * its new size. */
static void do_resize(const struct oplog_op *op) {
    void *old = blocks_start(op->slot);
    blocks_end(op->slot);
    void *block = hak_realloc(old, op->size);
    if (op->size == 0) {
        hak_free(block); /* some allocators return a block of 0 bytes */
        return;
    }
    if (block == NULL && !op->failed) replay_fail("no memory, and the program had got some");
    if (block == NULL) {
        blocks_begin(op->slot, old, blocks_size(op->slot), 1);
        return;
    }
    blocks_prove_kept(op->slot, block, op->size);
    blocks_begin(op->slot, block, op->size, align_of(op, op->size));
}

static void do_usable_size(const struct oplog_op *op) {
    size_t usable = hak_malloc_usable_size(blocks_start(op->slot));
    if (usable < blocks_size(op->slot))
        replay_fail("%zu bytes are usable of %zu", usable, blocks_size(op->slot));
}

void replay_do(const struct oplog_op *op) {
    current = *op;
    current_index++;
    if (op->kind == OPLOG_REALLOC && blocks_is_live(op->slot))
        do_resize(op);
    else if (oplog_returns_block(op->kind))
        do_request(op);
    else if (op->kind == OPLOG_FREE)
        do_free(op);
    else if (op->kind == OPLOG_FREE_AGAIN)
        hak_free(blocks_start(op->slot));
    else if (op->kind == OPLOG_USABLE_SIZE)
        do_usable_size(op);
    else if (op->kind == OPLOG_TRIM)
        hak_malloc_trim(op->size);
}

/* ---- the log --------------------------------------------------------------------------------- */

struct reading {
    const char *path;
    struct rules rules;
    uint64_t index;
};

static bool prove_order(const struct oplog_op *op, size_t offset, void *context) {
    struct reading *reading = context;
    const char *refused = rules_refuse(&reading->rules, op);
    reading->index++;
    if (refused != NULL)
        log_die(LOG_EXIT_USAGE, "%s: byte %zu: operation %ju, %s, slot %u, thread %u: %s",
                reading->path, offset, (uintmax_t)reading->index, oplog_name(op->kind), op->slot,
                op->thread, refused);
    return true;
}

static bool give(const struct oplog_op *op, size_t offset, void *context) {
    (void)offset;
    (void)context;
    baton_give(op);
    return true;
}

static void heap_prove(void) {
    size_t faults = HAK_AUDIT ? hak_heap_check() : 0;
    if (faults != 0) replay_fail("%zu equations of the whole heap do not hold", faults);
}

static void say_what_was_proved(const struct log_file *log, bool real) {
    const struct blocks_proved *proved = blocks_figures();
    const struct baton_figures *baton = baton_figures();
    printf("replay: %s%s: %ju operations, %ju blocks, %ju bytes proved, %ju %s, %ju switches%s: "
           "nothing found\n",
           log->path, log->result.closed ? "" : " (its writer did not close it)",
           (uintmax_t)log->result.operations, (uintmax_t)proved->blocks, (uintmax_t)proved->bytes,
           (uintmax_t)(real ? baton->threads : log->result.threads),
           real ? "threads" : "virtual threads", (uintmax_t)baton->switches,
           HAK_AUDIT ? ", the whole heap at the end" : "");
}

int main(int argc, char **argv) {
    static const int deaths[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct log_file log;
    bool virtual = argc == 4 && strcmp(argv[1], "--threads") == 0 &&
                   strcmp(argv[2], "virtual") == 0;
    bool real = argc == 2 ||
                (argc == 4 && strcmp(argv[1], "--threads") == 0 && strcmp(argv[2], "real") == 0);
    if (!virtual && !real) log_die(LOG_EXIT_USAGE, "usage: replay [--threads real|virtual] FILE");
    log_open(&log, argv[argc - 1]);
    struct reading reading = {.path = log.path,
                              .rules = {.slots = log_memory(log.result.slots),
                                        .threads = log_memory(log.result.threads)}};
    log_each(&log, prove_order, &reading);
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++)
        if (!HAK_ASAN || deaths[i] == SIGABRT) signal(deaths[i], on_death);
    blocks_init(log.result.slots);
    baton_init(real, log.result.threads);
    log_each(&log, give, NULL);
    baton_end();
    blocks_prove_all();
    heap_prove();
    say_what_was_proved(&log, real);
    return LOG_EXIT_SOUND;
}
