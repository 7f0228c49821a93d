#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fuzz/log/rules.h"
#include "fuzz/log/shrink.h"

static size_t op_count; /* of the log; a candidate has at most as many threads and slots */

static struct oplog_op *ops_of(const struct shrink_units *units) {
    return (struct oplog_op *)(void *)units->bytes;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Each block gets a slot of its own, so that a free can be dropped while the next block in the same
 * slot of the log stays valid. */
struct reading {
    struct oplog_op *next;
    uint32_t *names; /* by slot of the log: number of its block, from 1; 0: none yet */
    bool *full;
    uint32_t blocks;
};

static bool begins_block(const struct reading *reading, const struct oplog_op *op) {
    return oplog_returns_block(op->kind) && !op->failed &&
           !(op->kind == OPLOG_REALLOC && reading->full[op->slot]);
}

static bool keep(const struct oplog_op *op, size_t offset, void *context) {
    struct reading *reading = context;
    struct oplog_op *kept = reading->next++;
    (void)offset;
    /* Copied member by member, so that padding stays 0: candidates are compared byte by byte. */
    kept->kind = op->kind;
    kept->failed = op->failed;
    kept->thread = op->thread;
    kept->size = op->size;
    kept->align = op->align;
    if (!oplog_has(op->kind, 's')) return true;
    bool begins = begins_block(reading, op);
    if (begins || reading->names[op->slot] == 0) reading->names[op->slot] = ++reading->blocks;
    kept->slot = reading->names[op->slot] - 1;
    if (begins)
        reading->full[op->slot] = true;
    else if (op->kind == OPLOG_FREE || (op->kind == OPLOG_REALLOC && op->size == 0 && !op->failed))
        reading->full[op->slot] = false;
    return reading->blocks < OPLOG_SLOTS;
}

void shrink_log_read(const char *path, struct shrink_units *units) {
    struct log_file log;
    log_open(&log, path);
    op_count = log.result.operations;
    units->count = op_count;
    units->bytes = log_memory(op_count * sizeof(struct oplog_op));
    struct reading reading = {.next = ops_of(units),
                              .names = log_memory(log.result.slots * sizeof *reading.names),
                              .full = log_memory(log.result.slots * sizeof *reading.full)};
    log_each(&log, keep, &reading);
}

/* ---- candidates ------------------------------------------------------------------------------ */

/* Numbers in the order in which they first appear. */
struct numbers {
    uint32_t *given; /* new number + 1; 0: none yet */
    uint32_t count;
};

static uint32_t renumber(struct numbers *numbers, uint32_t number) {
    if (numbers->given[number] == 0) numbers->given[number] = ++numbers->count;
    return numbers->given[number] - 1;
}

static void repair(struct shrink_units *units) {
    struct oplog_op *ops = ops_of(units);
    size_t slots = op_count + 1, kept = 0;
    struct rules rules = {.slots = log_memory(slots), .threads = log_memory(OPLOG_THREADS)};
    struct numbers blocks = {.given = log_memory(slots * sizeof *blocks.given)};
    struct numbers threads = {.given = log_memory(OPLOG_THREADS * sizeof *threads.given)};
    for (size_t i = 0; i < units->count; i++) {
        if (rules_refuse(&rules, &ops[i]) != NULL) continue;
        struct oplog_op *op = &ops[kept++];
        memmove(op, &ops[i], sizeof *op);
        op->thread = renumber(&threads, op->thread);
        if (oplog_has(op->kind, 's')) op->slot = renumber(&blocks, op->slot);
    }
    units->count = kept;
    log_memory_end(rules.slots, slots);
    log_memory_end(rules.threads, OPLOG_THREADS);
    log_memory_end(blocks.given, slots * sizeof *blocks.given);
    log_memory_end(threads.given, OPLOG_THREADS * sizeof *threads.given);
}

/* Gives all operations of the thread `from` to the thread `to`; begin and exit of `from` are
 * dropped. */
static void merge(struct shrink_units *units, uint32_t from, uint32_t to) {
    struct oplog_op *ops = ops_of(units);
    size_t kept = 0;
    for (size_t i = 0; i < units->count; i++) {
        bool other = ops[i].thread != from;
        if (!other && (ops[i].kind == OPLOG_THREAD_BEGIN || ops[i].kind == OPLOG_THREAD_EXIT))
            continue;
        memmove(&ops[kept], &ops[i], sizeof ops[i]);
        if (!other) ops[kept].thread = to;
        kept++;
    }
    units->count = kept;
}

static uint32_t highest_thread(const struct shrink_units *units) {
    uint32_t highest = 0;
    for (size_t i = 0; i < units->count; i++)
        if (ops_of(units)[i].thread > highest) highest = ops_of(units)[i].thread;
    return highest;
}

static void merge_all(struct shrink_units *units) {
    for (uint32_t from = highest_thread(units); from > 0; from--)
        merge(units, from, 0);
}

#define MERGED_INTO     4u  /* the first threads, into which each other thread is merged */
#define SIZES_AT_A_TIME 64u /* the first operations, whose sizes are simplified everywhere */

/* Gives all operations with the size of this one a smaller size; false: no operation is left to
 * try. */
static bool simplify_size(struct shrink_units *units, unsigned index, unsigned step) {
    struct oplog_op *ops = ops_of(units);
    if (index >= units->count || index >= SIZES_AT_A_TIME) return false;
    uint64_t size = ops[index].size;
    for (size_t i = 0; i < index; i++)
        if (ops[i].size == size) return true;
    for (size_t i = 0; i < units->count; i++)
        if (ops[i].size == size) ops[i].size = shrink_number(size, step);
    return true;
}

/* First one thread does everything; then the operations of a thread go to one of the first few
 * threads; then a size becomes smaller everywhere. */
static bool simplify_all(struct shrink_units *units, unsigned step) {
    unsigned merges = highest_thread(units) * MERGED_INTO;
    if (step == 0) {
        merge_all(units);
    } else if (--step < merges) {
        uint32_t from = step / MERGED_INTO + 1, to = step % MERGED_INTO;
        if (to < from) merge(units, from, to);
    } else {
        step -= merges;
        return simplify_size(units, step / SHRINK_NUMBER_STEPS, step % SHRINK_NUMBER_STEPS);
    }
    return true;
}

/* Alignments stay powers of two. */
static uint64_t simpler_align(const struct oplog_op *op, unsigned step) {
    if (op->kind == OPLOG_CALLOC) return shrink_number(op->align, step);
    return step == 0 && op->align > 16 ? op->align / 2 : op->align;
}

static void simplify_kind(struct oplog_op *op) {
    if (op->kind == OPLOG_REALLOC && op->size == 0) {
        op->kind = OPLOG_FREE;
    } else if (oplog_returns_block(op->kind)) {
        op->kind = OPLOG_MALLOC;
        op->align = 0;
    }
}

static bool simplify(uint8_t *unit, unsigned step) {
    struct oplog_op *op = (struct oplog_op *)(void *)unit;
    switch (step / SHRINK_NUMBER_STEPS) {
    case 0:
        if (step == 0) simplify_kind(op);
        return true;
    case 1:
        op->thread = (uint32_t)shrink_number(op->thread, step % SHRINK_NUMBER_STEPS);
        return true;
    case 2:
        op->size = shrink_number(op->size, step % SHRINK_NUMBER_STEPS);
        return true;
    case 3:
        op->align = simpler_align(op, step % SHRINK_NUMBER_STEPS);
        return true;
    default:
        return false;
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_log(const struct shrink_units *units, const char *path) {
    const struct oplog_op *ops = ops_of(units);
    size_t room = OPLOG_HEADER + units->count * 2 * OPLOG_RECORD_MAX, length = OPLOG_HEADER;
    uint8_t *bytes = log_memory(room);
    uint32_t thread = 0;
    for (size_t i = 0; i < units->count; i++) {
        if (ops[i].thread != thread)
            length += oplog_encode(
                &(struct oplog_op){.kind = OPLOG_SWITCH, .thread = ops[i].thread}, bytes + length);
        thread = ops[i].thread;
        length += oplog_encode(&ops[i], bytes + length);
    }
    oplog_seal(bytes, length, units->count);
    shrink_write_file(path, bytes, length);
    log_memory_end(bytes, room);
}

/* The text of fuzz/log/standalone.c, in which the two marks are replaced. */
__asm__(".pushsection .rodata\n"
        "standalone_text: .incbin \"fuzz/log/standalone.c\"\n"
        ".byte 0\n"
        ".popsection");
extern const char standalone_text[] __attribute__((visibility("hidden")));
#define MARK_WHY   "WHY"
#define MARK_STEPS "/* STEPS */"

static void write_step(FILE *file, const struct oplog_op *op) {
    static const char *const names[OPLOG_KIND_COUNT] = {
        [OPLOG_MALLOC] = "MALLOC",
        [OPLOG_CALLOC] = "CALLOC",
        [OPLOG_REALLOC] = "REALLOC",
        [OPLOG_FREE] = "FREE",
        [OPLOG_ALIGNED_ALLOC] = "ALIGNED_ALLOC",
        [OPLOG_POSIX_MEMALIGN] = "POSIX_MEMALIGN",
        [OPLOG_MEMALIGN] = "MEMALIGN",
        [OPLOG_USABLE_SIZE] = "USABLE_SIZE",
        [OPLOG_TRIM] = "TRIM",
        [OPLOG_FREE_AGAIN] = "FREE_AGAIN",
        [OPLOG_THREAD_BEGIN] = "THREAD_BEGIN",
        [OPLOG_THREAD_EXIT] = "THREAD_EXIT",
    };
    fprintf(file, "    {%s, .thread = %u", names[op->kind], op->thread);
    if (oplog_has(op->kind, 's')) fprintf(file, ", .block = %u", op->slot);
    if (oplog_has(op->kind, 'n')) fprintf(file, ", .size = %ju", (uintmax_t)op->size);
    if (oplog_has(op->kind, 'a')) fprintf(file, ", .align = %ju", (uintmax_t)op->align);
    fprintf(file, "%s},\n", op->failed ? ", .fails = 1" : "");
}

void shrink_log_write_program(const struct shrink_units *units, const char *path, const char *why) {
    const char *at_why = strstr(standalone_text, MARK_WHY),
               *at_steps = strstr(at_why, "    " MARK_STEPS);
    FILE *file = fopen(path, "w");
    if (file == NULL) log_die(LOG_EXIT_USAGE, "%s: %s", path, strerror(errno));
    fprintf(file, "%.*s%s", (int)(at_why - standalone_text), standalone_text, why);
    at_why += strlen(MARK_WHY);
    fprintf(file, "%.*s", (int)(at_steps - at_why), at_why);
    for (size_t i = 0; i < units->count; i++)
        write_step(file, &ops_of(units)[i]);
    fputs(at_steps + strlen("    " MARK_STEPS "\n"), file);
    if (ferror(file) | fclose(file)) log_die(LOG_EXIT_USAGE, "%s: %s", path, strerror(errno));
}

const struct shrink_form shrink_log_form = {.unit = sizeof(struct oplog_op),
                                            .repair = repair,
                                            .simplify_all = simplify_all,
                                            .simplify = simplify,
                                            .write = write_log};
