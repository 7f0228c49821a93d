/* Mutations that keep the structure of an input: they move whole operations and change single
 * fields. */
#include "fuzz/schedule.h"

#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

#define HEADER sizeof(struct fuzz_header)
#define OP     sizeof(struct fuzz_op)

static uint32_t random_state;

static uint32_t random_below(size_t bound) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return (uint32_t)(random_state % bound);
}

static uint8_t *op_at(uint8_t *data, size_t index) {
    return data + HEADER + index * OP;
}

static void op_make(uint8_t *op) {
    for (size_t i = 0; i < OP; i++)
        op[i] = (uint8_t)random_below(256);
}

/* Inserts space for `count` operations before `index`; false if the input would exceed max_size. */
static bool ops_insert(uint8_t *data, size_t *size, size_t max_size, size_t index, size_t count) {
    if (*size + count * OP > max_size) return false;
    memmove(op_at(data, index + count), op_at(data, index), *size - HEADER - index * OP);
    *size += count * OP;
    return true;
}

static void ops_delete(uint8_t *data, size_t *size, size_t index, size_t count) {
    memmove(op_at(data, index), op_at(data, index + count), *size - HEADER - (index + count) * OP);
    *size -= count * OP;
}

/* Copies up to 8 operations that begin at `from` to another place. */
static void ops_repeat(uint8_t *data, size_t *size, size_t max_size, size_t count, size_t from) {
    uint8_t copy[8 * OP];
    size_t most = count - from < 8 ? count - from : 8;
    size_t length = 1 + random_below(most);
    memcpy(copy, op_at(data, from), length * OP);
    size_t to = random_below(count + 1);
    if (ops_insert(data, size, max_size, to, length)) memcpy(op_at(data, to), copy, length * OP);
}

static void ops_exchange(uint8_t *a, uint8_t *b) {
    uint8_t kept[OP];
    memcpy(kept, a, OP);
    memcpy(a, b, OP);
    memcpy(b, kept, OP);
}

/* Gives one field of an operation a random value, or that of another operation, for example the
 * same slot or size. */
static void field_change(uint8_t *op, const uint8_t *other) {
    static const struct {
        uint8_t offset, bytes;
    } fields[] = {{offsetof(struct fuzz_op, kind), 1},
                  {offsetof(struct fuzz_op, slot), 1},
                  {offsetof(struct fuzz_op, thread), 1},
                  {offsetof(struct fuzz_op, align), 1},
                  {offsetof(struct fuzz_op, size), 2}};
    unsigned field = random_below(sizeof fields / sizeof fields[0]);
    bool anew = random_below(2) == 0;
    for (unsigned i = fields[field].offset;
         i < fields[field].offset + (unsigned)fields[field].bytes; i++)
        op[i] = anew ? (uint8_t)random_below(256) : other[i];
}

static size_t mutate_once(uint8_t *data, size_t size, size_t max_size) {
    size_t count = (size - HEADER) / OP;
    size = HEADER + count * OP;
    if (random_below(16) == 0) {
        data[random_below(HEADER)] = (uint8_t)random_below(256);
        return size;
    }
    size_t at = random_below(count + 1);
    if (at == count || random_below(4) == 0) {
        if (ops_insert(data, &size, max_size, at, 1)) op_make(op_at(data, at));
        return size;
    }
    switch (random_below(6)) {
    case 0:
        ops_delete(data, &size, at, 1 + random_below(count - at));
        break;
    case 1:
        ops_repeat(data, &size, max_size, count, at);
        break;
    case 2:
        ops_exchange(op_at(data, at), op_at(data, random_below(count)));
        break;
    case 3: /* libFuzzer's own mutation, which uses values from comparisons */
        LLVMFuzzerMutate(op_at(data, at), OP, OP);
        break;
    default:
        field_change(op_at(data, at), op_at(data, random_below(count)));
    }
    return size;
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    random_state = seed | 1;
    if (max_size < HEADER + OP) return size;
    if (size < HEADER) {
        memset(data, 0, HEADER);
        size = HEADER;
    }
    for (unsigned times = 1 + random_below(4); times > 0; times--)
        size = mutate_once(data, size, max_size);
    return size;
}

/* ---- switches -------------------------------------------------------------------------------- */

/* The first switch at or after `from`, or else the first one before it; `count` if there is
 * none. */
static size_t switch_find(uint8_t *data, size_t count, size_t from) {
    for (size_t i = 0; i < count; i++)
        if (*op_at(data, (from + i) % count) >= FUZZ_SWITCH) return (from + i) % count;
    return count;
}

/* Half of the switches come after fewer than 8 steps, because most operations have few steps. */
static void switch_make(uint8_t *op) {
    op_make(op);
    uint16_t steps = (uint16_t)random_below(random_below(2) == 0 ? 8 : FUZZ_STEPS_MAX);
    op[offsetof(struct fuzz_op, kind)] |= FUZZ_SWITCH;
    memcpy(op + offsetof(struct fuzz_op, size), &steps, sizeof steps);
}

static void switch_move(uint8_t *data, size_t size, size_t from, size_t to) {
    uint8_t op[OP];
    size_t max_size = size;
    memcpy(op, op_at(data, from), OP);
    ops_delete(data, &size, from, 1);
    if (ops_insert(data, &size, max_size, to, 1)) memcpy(op_at(data, to), op, OP);
}

/* Moves a switch by up to two steps. */
static void switch_shift(uint8_t *op) {
    uint16_t steps;
    memcpy(&steps, op + offsetof(struct fuzz_op, size), sizeof steps);
    steps = (uint16_t)(steps + random_below(5) - 2);
    memcpy(op + offsetof(struct fuzz_op, size), &steps, sizeof steps);
}

size_t fuzz_mutate_switches(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    random_state = seed | 1;
    size_t count = size < HEADER ? 0 : (size - HEADER) / OP;
    if (count == 0) return fuzz_mutate(data, size, max_size, seed);
    size = HEADER + count * OP;
    size_t found = switch_find(data, count, random_below(count));
    unsigned choice = random_below(5);
    if (found == count || choice < 2) {
        size_t at = 1 + random_below(count);
        if (ops_insert(data, &size, max_size, at, 1)) switch_make(op_at(data, at));
    } else if (choice == 2) {
        ops_delete(data, &size, found, 1);
    } else if (choice == 3) {
        switch_move(data, size, found, random_below(count));
    } else {
        switch_shift(op_at(data, found));
    }
    return size;
}
