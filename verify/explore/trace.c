#include "verify/explore/trace.h"

#include <string.h>

#include "core/range.h"

#define WORDS 32768u /* entries of each table; power of two */
#define CELLS 12u    /* accesses that are kept for a word */

/* core/'s variables: verify/virtual/sections.h. */
extern char __start_hak_data[], __stop_hak_data[], __start_hak_bss[], __stop_hak_bss[];

typedef uint32_t clocks[EXPLORE_FIBERS];

/* The steps of this run on one address. */
struct place {
    uintptr_t address;
    uint32_t run;           /* the run that wrote this entry; another run than the present: free */
    clocks released;        /* an acquiring read of the address happens after these clocks */
    uint64_t written, read; /* hashes of the last write, and of the reads since then */
};

/* The last access of one kind by a fiber to some bytes of a word. */
struct cell {
    uint32_t clock;
    uint8_t fiber, bytes; /* bytes: one bit for each byte of the word */
    bool is_write;
};

struct word {
    uintptr_t number; /* address / 8 */
    uint32_t run;
    unsigned count;
    struct cell cells[CELLS];
};

static struct {
    uint32_t run;
    clocks fibers[EXPLORE_FIBERS];
    uint64_t chains[EXPLORE_FIBERS]; /* hash of all that a fiber did and saw */
    struct place places[WORDS];
    struct word words[WORDS];
    struct {
        uintptr_t number;
        uint8_t fibers;  /* one bit for each */
    } touched[WORDS];    /* over all runs */
    size_t shared_words; /* touched by more than one fiber */
} trace;

static uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

static uint32_t slot_of(uintptr_t key) {
    return (uint32_t)(((uint64_t)key * 0x9e3779b97f4a7c15u) >> 49) & (WORDS - 1);
}

void explore_trace_begin(void) {
    trace.run++;
    memset(trace.fibers, 0, sizeof trace.fibers);
    for (unsigned i = 0; i < EXPLORE_FIBERS; i++) {
        trace.fibers[i][i] = 1;
        trace.chains[i] = i + 1;
    }
}

/* ---- which fiber touched which word ---------------------------------------------------------- */

bool explore_is_shared(uintptr_t address) {
    uintptr_t end = hak_range.start + ((uintptr_t)hak_range.granules << HAK_GRANULE_SHIFT);
    return fuzz_is_of_thread(address) || address - hak_range.map < end - hak_range.map ||
           address - (uintptr_t)__start_hak_data <
               (uintptr_t)(__stop_hak_data - __start_hak_data) ||
           address - (uintptr_t)__start_hak_bss < (uintptr_t)(__stop_hak_bss - __start_hak_bss);
}

/* Adds `fibers`, one bit for each, to the fibers that have touched a word, and returns all of
 * them. */
static uint8_t touch(uintptr_t number, uint8_t fibers) {
    uint32_t at = slot_of(number), tried = 0;
    while (trace.touched[at].number != number && trace.touched[at].number != 0) {
        at = (at + 1) & (WORDS - 1);
        EXPLORE_CHECK(++tried < WORDS / 2, "a scenario touches more than %u words", WORDS / 2);
    }
    uint8_t before = trace.touched[at].fibers, after = before | fibers;
    trace.touched[at].number = number;
    trace.touched[at].fibers = after;
    if ((before & (before - 1)) == 0 && (after & (after - 1)) != 0) trace.shared_words++;
    return after;
}

size_t explore_trace_shared_words(void) {
    return trace.shared_words;
}

bool explore_trace_others(unsigned fiber, uintptr_t address) {
    return (touch(address / 8, 0) & ~(1u << fiber)) != 0;
}

void explore_trace_access(unsigned fiber, uintptr_t address, size_t size) {
    for (uintptr_t word = address / 8; word <= (address + size - 1) / 8; word++)
        touch(word, (uint8_t)(1u << fiber));
}

/* ---- steps ----------------------------------------------------------------------------------- */

static struct place *place_at(uintptr_t address) {
    uint32_t at = slot_of(address), tried = 0;
    while (trace.places[at].run == trace.run && trace.places[at].address != address) {
        at = (at + 1) & (WORDS - 1);
        EXPLORE_CHECK(++tried < WORDS / 2, "a run has steps on more than %u addresses", WORDS / 2);
    }
    struct place *place = &trace.places[at];
    if (place->run != trace.run) *place = (struct place){.address = address, .run = trace.run};
    return place;
}

static void join(clocks into, const clocks from) {
    for (unsigned i = 0; i < EXPLORE_FIBERS; i++)
        if (into[i] < from[i]) into[i] = from[i];
}

void explore_trace_fork(unsigned fiber) {
    for (unsigned other = 0; other < EXPLORE_FIBERS; other++)
        join(trace.fibers[fiber], trace.fibers[other]);
}

static bool acquires(int order) {
    return order == memory_order_acquire || order == memory_order_acq_rel ||
           order == memory_order_seq_cst;
}

static bool releases(int order) {
    return order == memory_order_release || order == memory_order_acq_rel ||
           order == memory_order_seq_cst;
}

/* A store ends the release sequence, and begins a new one if it releases; a change continues it. */
static void order_step(unsigned fiber, struct place *place, const struct explore_step *step) {
    bool reads =
        step->kind == EXPLORE_LOAD || step->kind == EXPLORE_CHANGE || step->kind == EXPLORE_TAKE;
    bool writes =
        step->kind == EXPLORE_STORE || step->kind == EXPLORE_CHANGE || step->kind == EXPLORE_DROP;
    if (reads && acquires(step->order)) join(trace.fibers[fiber], place->released);
    if (step->kind == EXPLORE_STORE) memset(place->released, 0, sizeof place->released);
    if (!writes || !releases(step->order)) return;
    join(place->released, trace.fibers[fiber]);
    trace.fibers[fiber][fiber]++;
}

void explore_trace_step(unsigned fiber, const struct explore_step *step) {
    struct place *place = place_at((uintptr_t)step->address);
    uint64_t what = mix((uint64_t)step->kind + 1, (uintptr_t)step->address);
    uint64_t chain = mix(mix(trace.chains[fiber], what), place->written);
    if (step->kind == EXPLORE_LOAD) {
        place->read += chain; /* a sum, because the order of reads makes no difference */
    } else {
        chain = mix(chain, place->read);
        place->written = chain;
        place->read = 0;
    }
    trace.chains[fiber] = chain;
    if (step->kind != EXPLORE_SYSTEM) order_step(fiber, place, step);
    touch((uintptr_t)step->address / 8, (uint8_t)(1u << fiber));
}

void explore_trace_differs(unsigned fiber, uint64_t how) {
    trace.chains[fiber] = mix(trace.chains[fiber], how);
}

uint64_t explore_trace_state(unsigned running) {
    uint64_t state = running;
    for (unsigned i = 0; i < EXPLORE_FIBERS; i++)
        state = mix(state, trace.chains[i]);
    return state;
}

/* ---- plain accesses -------------------------------------------------------------------------- */

_Noreturn static void race(unsigned fiber, const struct cell *other, uintptr_t address, size_t size,
                           bool is_write) {
    const char *what = is_write ? "writes" : "reads",
               *other_what = other->is_write ? "wrote" : "read";
    uintptr_t entry = address - hak_range.map, block = address - hak_range.start;
    if (hak_range_has((void *)(address & ~(uintptr_t)15)))
        explore_fail("race: thread %u %s %zu bytes of a block, which thread %u %s before; %zu "
                     "bytes into granule %zu",
                     fiber, what, size, other->fiber, other_what, (size_t)block % HAK_GRANULE,
                     (size_t)block / HAK_GRANULE);
    if (entry / HAK_MAP_ENTRY_SIZE < hak_range.granules)
        explore_fail(
            "race: thread %u %s %zu bytes of a page map entry, which thread %u %s before; byte %zu "
            "of granule %zu's",
            fiber, what, size, other->fiber, other_what, (size_t)entry % HAK_MAP_ENTRY_SIZE,
            (size_t)entry / HAK_MAP_ENTRY_SIZE);
    explore_fail(
        "race: thread %u %s %zu bytes of a variable or table, which thread %u %s before; at %#zx",
        fiber, what, size, other->fiber, other_what, (size_t)address);
}

static struct word *word_at(uintptr_t number) {
    uint32_t at = slot_of(number), tried = 0;
    while (trace.words[at].run == trace.run && trace.words[at].number != number) {
        at = (at + 1) & (WORDS - 1);
        EXPLORE_CHECK(++tried < WORDS / 2, "a run touches more than %u words", WORDS / 2);
    }
    struct word *word = &trace.words[at];
    if (word->run != trace.run) {
        word->run = trace.run;
        word->number = number;
        word->count = 0;
    }
    return word;
}

/* The cell for an access: the one of the same fiber, bytes and kind, otherwise a new one, or the
 * oldest if all are in use. */
static struct cell *cell_for(struct word *word, unsigned fiber, uint8_t bytes, bool is_write) {
    struct cell *oldest = &word->cells[0];
    for (unsigned i = 0; i < word->count; i++) {
        struct cell *cell = &word->cells[i];
        if (cell->fiber == fiber && cell->bytes == bytes && cell->is_write == is_write) return cell;
        if (cell->clock < oldest->clock) oldest = cell;
    }
    return word->count < CELLS ? &word->cells[word->count++] : oldest;
}

static void access_word(unsigned fiber, uintptr_t address, size_t size, bool is_write) {
    struct word *word = word_at(address / 8);
    uint8_t bytes = (uint8_t)(((1u << size) - 1) << address % 8);
    for (unsigned i = 0; i < word->count; i++) {
        const struct cell *cell = &word->cells[i];
        bool conflict =
            cell->fiber != fiber && (cell->bytes & bytes) != 0 && (is_write || cell->is_write);
        if (conflict && cell->clock > trace.fibers[fiber][cell->fiber])
            race(fiber, cell, address, size, is_write);
    }
    *cell_for(word, fiber, bytes, is_write) = (struct cell){.clock = trace.fibers[fiber][fiber],
                                                            .fiber = (uint8_t)fiber,
                                                            .bytes = bytes,
                                                            .is_write = is_write};
}

void explore_trace_race(unsigned fiber, uintptr_t address, size_t size, bool is_write) {
    while (size > 0) {
        size_t part = 8 - address % 8;
        if (part > size) part = size;
        access_word(fiber, address, part, is_write);
        address += part;
        size -= part;
    }
}
