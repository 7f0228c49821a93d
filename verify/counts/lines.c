#include "verify/counts/lines.h"

#include <stdatomic.h>

#include "bench/bench.h"

#define LINE_SHIFT 6
#define LINES_LOG  22

#define WRITTEN     ((uint64_t)1 << LINES_THREADS)
#define HAS(thread) ((uint64_t)1 << (thread))

/* An entry of a hash table. Entries are never removed, so a concurrent search cannot miss one. */
struct line {
    _Atomic uintptr_t number; /* address / 64; 0: the entry is free */
    _Atomic uint64_t holders; /* a bit for each thread that has the line, and WRITTEN */
};

static struct line *lines;

void lines_begin(void) {
    lines = bench_table((size_t)1 << LINES_LOG, sizeof *lines);
}

static bool is_or_becomes(struct line *line, uintptr_t number) {
    uintptr_t there = atomic_load_explicit(&line->number, memory_order_relaxed);
    if (there == 0 &&
        atomic_compare_exchange_strong_explicit(&line->number, &there, number, memory_order_relaxed,
                                                memory_order_relaxed))
        return true;
    return there == number;
}

static struct line *line_of(uintptr_t address) {
    uintptr_t number = address >> LINE_SHIFT;
    uint64_t at = (number * 0x9e3779b97f4a7c15u) >> (64 - LINES_LOG);
    for (uint64_t tried = 0; tried < (uint64_t)1 << (LINES_LOG - 1); tried++) {
        struct line *line = &lines[(at + tried) & (((uint64_t)1 << LINES_LOG) - 1)];
        if (is_or_becomes(line, number)) return line;
    }
    bench_die("too many lines");
}

bool lines_read(uintptr_t address, unsigned thread) {
    struct line *line = line_of(address);
    uint64_t holders = atomic_load_explicit(&line->holders, memory_order_relaxed);
    if (holders & HAS(thread)) return false;
    holders = atomic_fetch_or_explicit(&line->holders, HAS(thread), memory_order_relaxed);
    return (holders & WRITTEN) != 0;
}

bool lines_write(uintptr_t address, unsigned thread) {
    struct line *line = line_of(address);
    const uint64_t own = WRITTEN | HAS(thread);
    if (atomic_load_explicit(&line->holders, memory_order_relaxed) == own) return false;
    uint64_t holders = atomic_exchange_explicit(&line->holders, own, memory_order_relaxed);
    return (holders & ~own) != 0;
}
